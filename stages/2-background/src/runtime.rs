//! What runs a network. Two can: onnxruntime, twice as fast, where its library is found; and rten, which is always there.
//!
//! Both run one picture on one thread: the engine works on as many pictures at once as there are cores, which keeps every
//! core busy without threads that wait for each other, and the sums inside a picture always in the same order.

mod onnxruntime;
mod rten;

use std::path::PathBuf;

use catgen_api::{BuildContext, StageError};

/// A loaded network.
pub(crate) trait Runtime: Send + Sync {
    /// The first output for one picture, `1 × 3 × 320 × 320`; may be called from many threads at once.
    ///
    /// # Errors
    /// The runtime's own words.
    fn run(&self, planes: Vec<f32>) -> Result<Vec<f32>, String>;
}

/// The runtime that a stage will use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// The library at this path.
    OnnxRuntime(PathBuf),
    /// The one that is built in.
    Rten,
}

impl Chosen {
    /// Its word in `pipeline.toml` and in keys.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::OnnxRuntime(_) => "ort",
            Self::Rten => "rten",
        }
    }

    /// The network in these bytes of the file `path`.
    ///
    /// # Errors
    /// A library that cannot be loaded, or bytes that are no ONNX model.
    pub(crate) fn load(&self, model: Vec<u8>, path: &str) -> Result<Box<dyn Runtime>, StageError> {
        let unreadable = |detail: String| StageError::Broken {
            what: format!("{path} is not a model that can be read: {detail}"),
            hint: "an ONNX file is expected: run `make models`, or fetch the file again".to_owned(),
        };
        match self {
            Self::OnnxRuntime(library) => {
                let environment = onnxruntime::environment(library).map_err(|detail| StageError::Broken {
                    what: format!("cannot load {}: {detail}", library.display()),
                    hint: "get another onnxruntime, or use runtime = \"rten\", which is built in".to_owned(),
                })?;
                Ok(Box::new(onnxruntime::OnnxRuntime::new(environment, model).map_err(unreadable)?))
            }
            Self::Rten => Ok(Box::new(rten::Rten::new(model).map_err(unreadable)?)),
        }
    }
}

/// The runtime meant by the parameter's word.
///
/// # Errors
/// `ort` where no library was found.
pub(crate) fn choose(word: &str, context: &BuildContext) -> Result<Chosen, StageError> {
    match (word, &context.onnxruntime) {
        ("rten", _) | ("auto", None) => Ok(Chosen::Rten),
        (_, Some(library)) => Ok(Chosen::OnnxRuntime(library.clone())),
        (_, None) => Err(StageError::Missing {
            what: "cannot find libonnxruntime, which runtime = \"ort\" asks for".to_owned(),
            hint: "set ORT_DYLIB_PATH to the library, or use runtime = \"auto\": rten is built in".to_owned(),
        }),
    }
}
