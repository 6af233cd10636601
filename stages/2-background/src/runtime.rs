//! What runs a network. Two can: onnxruntime, twice as fast, where its library is found; and rten, which is always there.
//!
//! Both run one picture on one thread: the engine works on as many pictures at once as there are cores, which keeps every
//! core busy without threads that wait for each other, and the sums inside a picture always in the same order. The family's files
//! take one picture at a time by their declared shape, so there are no batches to gain from.

mod onnxruntime;
mod rten;

use std::path::{Path, PathBuf};

use catgen_api::{BuildContext, StageError};

/// A loaded network.
pub(crate) trait Runtime: Send + Sync {
    /// The side of the square that the file says it wants, if it says.
    fn side(&self) -> Option<u32>;

    /// The first output for one picture, `1 × 3 × side × side`; may be called from many threads at once.
    ///
    /// # Errors
    /// The runtime's own words.
    fn run(&self, planes: Vec<f32>, side: u32) -> Result<Vec<f32>, String>;
}

/// The runtime that a stage will use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// The library at this path, on the CPU.
    OnnxRuntime(PathBuf),
    /// The library at this path, on an NVIDIA GPU.
    Cuda(PathBuf),
    /// The one that is built in.
    Rten,
}

impl Chosen {
    /// Its word in keys.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::OnnxRuntime(_) => "ort",
            Self::Cuda(_) => "ort on cuda",
            Self::Rten => "rten",
        }
    }

    /// The network in these bytes of the file `path`.
    ///
    /// # Errors
    /// A library that cannot be loaded, a GPU that cannot be used, or bytes that are no ONNX model.
    pub(crate) fn load(&self, model: Vec<u8>, path: &str) -> Result<Box<dyn Runtime>, StageError> {
        let unreadable = |detail: String| StageError::Broken {
            what: format!("{path} is not a model that can be read: {detail}"),
            hint: "an ONNX file is expected: run `make models`, or fetch the file again".to_owned(),
        };
        let environment = |library: &Path| {
            onnxruntime::environment(library).map_err(|detail| StageError::Broken {
                what: format!("cannot load {}: {detail}", library.display()),
                hint: "get another onnxruntime, or use runtime = \"rten\", which is built in".to_owned(),
            })
        };
        match self {
            Self::OnnxRuntime(library) => {
                Ok(Box::new(onnxruntime::OnnxRuntime::new(environment(library)?, model, false).map_err(unreadable)?))
            }
            Self::Cuda(library) => {
                let environment = environment(library)?;
                onnxruntime::cuda_can_start(&environment).map_err(|detail| StageError::Broken {
                    what: format!("{} cannot use the GPU: {detail}", library.display()),
                    hint: "it takes the library of the package onnxruntime-gpu, with the CUDA and cuDNN that it names; or use device = \"cpu\""
                        .to_owned(),
                })?;
                Ok(Box::new(onnxruntime::OnnxRuntime::new(environment, model, true).map_err(unreadable)?))
            }
            Self::Rten => Ok(Box::new(rten::Rten::new(model).map_err(unreadable)?)),
        }
    }
}

/// The runtime meant by the parameters' words.
///
/// # Errors
/// `ort` or `cuda` where no library was found, and `cuda` with a runtime that has none.
pub(crate) fn choose(runtime: &str, device: &str, context: &BuildContext) -> Result<Chosen, StageError> {
    let asked = match device {
        "cuda" => "device = \"cuda\"",
        _ => "runtime = \"ort\"",
    };
    match (runtime, device, &context.onnxruntime) {
        ("rten", "cuda", _) => Err(StageError::Param {
            name: "device",
            message: "the built-in rten has no GPU: use runtime = \"ort\", or device = \"cpu\"".to_owned(),
        }),
        ("rten", _, _) | ("auto", "cpu", None) => Ok(Chosen::Rten),
        (_, "cuda", Some(library)) => Ok(Chosen::Cuda(library.clone())),
        (_, _, Some(library)) => Ok(Chosen::OnnxRuntime(library.clone())),
        (_, _, None) => Err(StageError::Missing {
            what: format!("cannot find libonnxruntime, which {asked} asks for"),
            hint: "set ORT_DYLIB_PATH to the library, or use runtime = \"auto\" on the CPU: rten is built in".to_owned(),
        }),
    }
}
