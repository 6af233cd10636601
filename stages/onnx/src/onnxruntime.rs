//! onnxruntime, through its library, which is loaded when it is first needed.

use std::{
    fmt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use ort::{
    environment::Environment,
    ep::{CUDA, ExecutionProvider},
    logging::LogLevel,
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
    value::TensorRef,
};

use crate::Network;

/// A process may have one environment, ever; the first stage to need it makes it.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The process's environment, from the library at `path` where there is none yet.
pub(super) fn environment(path: &Path) -> Result<Environment, String> {
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*slot {
        return Ok(environment.clone());
    }
    let builder = ort::init_from(path).map_err(said)?;
    let environment = builder.with_name("catgen").with_telemetry(false).build().map_err(said)?;
    environment.set_log_level(LogLevel::Error);
    Ok(slot.insert(environment).clone())
}

/// A model, and the sessions that are not running just now.
///
/// A session serves one thread at a time, so there come to be as many as threads ever asked at once. For u2netp each costs
/// about 450 MiB, nearly all of it room for the picture in work, kept for the next one: without onnxruntime's arena it would
/// be 250 MiB and a quarter slower.
pub(super) struct OnnxRuntime {
    environment: Environment,
    model: Vec<u8>,
    cuda: bool,
    side: Option<usize>,
    idle: Mutex<Vec<Session>>,
}

impl OnnxRuntime {
    /// The model in these bytes; opens the first session, so that a file that is no model is found out here.
    pub(super) fn new(environment: Environment, model: Vec<u8>, cuda: bool) -> Result<Self, String> {
        let mut runtime = Self { environment, model, cuda, side: None, idle: Mutex::new(Vec::new()) };
        let session = runtime.open()?;
        runtime.side = declared_side(&session);
        runtime.put_back(session);
        Ok(runtime)
    }

    fn open(&self) -> Result<Session, String> {
        let builder = Session::builder(&self.environment).map_err(said)?;
        let mut builder = single_threaded(builder)?;
        if self.cuda {
            CUDA::default().register(&mut builder).map_err(said)?;
        }
        builder.commit_from_memory(&self.model).map_err(said)
    }

    fn take(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}

fn single_threaded(builder: SessionBuilder) -> Result<SessionBuilder, String> {
    let builder = builder.with_intra_threads(1).map_err(said)?;
    let builder = builder.with_inter_threads(1).map_err(said)?;
    let builder = builder.with_optimization_level(GraphOptimizationLevel::Level3).map_err(said)?;
    let builder = builder.with_deterministic_compute(true).map_err(said)?;
    builder.with_log_level(LogLevel::Error).map_err(said)
}

/// The library's own words; its error types are large and of no other use here.
fn said(error: impl fmt::Display) -> String {
    error.to_string()
}

/// Whether the library has CUDA and finds a GPU for it; its words if not. Without asking, a session would quietly use the CPU.
pub(super) fn cuda_can_start(environment: &Environment) -> Result<(), String> {
    if !CUDA::is_available().map_err(said)? {
        return Err("it was built without CUDA".to_owned());
    }
    let mut builder = Session::builder(environment).map_err(said)?;
    CUDA::default().register(&mut builder).map_err(said)
}

/// The side of the square that the first input is declared to be; none where it is left open.
fn declared_side(session: &Session) -> Option<usize> {
    let shape = session.inputs().first()?.dtype().tensor_shape()?;
    match shape[..] {
        [.., height, width] if height == width => usize::try_from(height).ok().filter(|side| *side > 0),
        _ => None,
    }
}

impl Network for OnnxRuntime {
    fn run(&self, shape: [usize; 4], planes: Vec<f32>, output: &str) -> Result<Vec<f32>, String> {
        let mut session = match self.take() {
            Some(session) => session,
            None => self.open()?,
        };
        let answer = answer(&mut session, shape, &planes, output);
        self.put_back(session);
        answer
    }

    fn side(&self) -> Option<usize> {
        self.side
    }
}

fn answer(session: &mut Session, shape: [usize; 4], planes: &[f32], output: &str) -> Result<Vec<f32>, String> {
    if session.inputs().len() != 1 {
        return Err(format!("it wants {} inputs", session.inputs().len()));
    }
    let input = TensorRef::from_array_view((shape, planes)).map_err(said)?;
    let outputs = session.run(ort::inputs![input]).map_err(said)?;
    if outputs.len() == 0 {
        return Err("it has no output".to_owned());
    }
    // No output's name is empty, and asking for that one is a panic.
    let named = if output.is_empty() { None } else { outputs.get(output) };
    let wanted = named.unwrap_or(&outputs[0]);
    let (_, values) = wanted.try_extract_tensor::<f32>().map_err(said)?;
    Ok(values.to_vec())
}
