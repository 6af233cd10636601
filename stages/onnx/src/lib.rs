//! What runs a network. Two can: onnxruntime, twice as fast, where its library is found; and rten, which is always there.
//!
//! Both run one call on one thread: the caller works on as many calls at once as there are cores, which keeps every
//! core busy without threads that wait for each other, and the sums inside a picture always in the same order.
//!
//! What it refuses to do: know what a network is for. It looks for no file, and never downloads one.

mod onnxruntime;
mod rten;

use std::path::{Path, PathBuf};

use catgen_api::StageError;

/// A loaded network.
pub trait Network: Send + Sync {
    /// The output called `output` for one batch of pictures, N × C × H × W in C order; the network's first output where it has
    /// none of that name, or the name is empty. May be called from many threads at once.
    ///
    /// # Errors
    /// The runtime's own words.
    fn run(&self, shape: [usize; 4], planes: Vec<f32>, output: &str) -> Result<Vec<f32>, String>;

    /// The side of the square that the network's input asks for; `None` where its file leaves that open.
    fn side(&self) -> Option<usize>;
}

/// What runs networks on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// The library at this path, on the CPU.
    OnnxRuntime(PathBuf),
    /// The library at this path, on an NVIDIA GPU.
    Cuda(PathBuf),
    /// The one that is built in.
    Rten,
}

impl Runtime {
    /// The library at that path, where one was found; else the one that is built in.
    pub fn of(onnxruntime: Option<&Path>) -> Self {
        onnxruntime.map_or(Self::Rten, |library| Self::OnnxRuntime(library.to_owned()))
    }

    /// Its word in `pipeline.toml` and in keys.
    pub fn name(&self) -> &'static str {
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
    pub fn load(&self, model: Vec<u8>, path: &str) -> Result<Box<dyn Network>, StageError> {
        let unreadable = |detail: String| StageError::Broken {
            what: format!("{path} is not a model that can be read: {detail}"),
            hint: "an ONNX file is expected: run `make models`, or fetch the file again".to_owned(),
        };
        let environment = |library: &Path| {
            onnxruntime::environment(library).map_err(|detail| StageError::Broken {
                what: format!("cannot load {}: {detail}", library.display()),
                hint: "get another onnxruntime, or unset ORT_DYLIB_PATH: another runtime is built in".to_owned(),
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
