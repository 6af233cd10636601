//! Which runtime the parameters mean.

use catgen_api::{BuildContext, StageError};
use catgen_onnx::Runtime;

/// The runtime meant by the parameters' words.
///
/// # Errors
/// `ort` or `cuda` where no library was found, and `cuda` with a runtime that has none.
pub(crate) fn choose(runtime: &str, device: &str, context: &BuildContext) -> Result<Runtime, StageError> {
    let asked = match device {
        "cuda" => "device = \"cuda\"",
        _ => "runtime = \"ort\"",
    };
    match (runtime, device, &context.onnxruntime) {
        ("rten", "cuda", _) => Err(StageError::Param {
            name: "device",
            message: "the built-in rten has no GPU: use runtime = \"ort\", or device = \"cpu\"".to_owned(),
        }),
        ("rten", _, _) | ("auto", "cpu", None) => Ok(Runtime::Rten),
        (_, "cuda", Some(library)) => Ok(Runtime::Cuda(library.clone())),
        (_, _, Some(library)) => Ok(Runtime::OnnxRuntime(library.clone())),
        (_, _, None) => Err(StageError::Missing {
            what: format!("cannot find libonnxruntime, which {asked} asks for"),
            hint: "set ORT_DYLIB_PATH to the library, or use runtime = \"auto\" on the CPU: rten is built in".to_owned(),
        }),
    }
}
