//! rten: the runtime that is built in.

use std::{
    panic,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rten::{Dimension, Model, RunOptions, ThreadPool, Value};

use super::Runtime;

/// A model, and the one-thread pools that are not running just now; a picture in work costs about 150 MiB for u2netp.
pub(super) struct Rten {
    model: Model,
    idle: Mutex<Vec<Arc<ThreadPool>>>,
}

impl Rten {
    /// The model in these bytes.
    pub(super) fn new(model: Vec<u8>) -> Result<Self, String> {
        let model = Model::load(model).map_err(|error| error.to_string())?;
        Ok(Self { model, idle: Mutex::new(Vec::new()) })
    }

    fn run_in(&self, pool: &Arc<ThreadPool>, planes: Vec<f32>, side: u32) -> Result<Vec<f32>, String> {
        let (Some(&input), Some(&output)) = (self.model.input_ids().first(), self.model.output_ids().first()) else {
            return Err("it has no input or no output".to_owned());
        };
        let side = side as usize;
        let picture = Value::from_shape([1, 3, side, side], planes).map_err(|error| error.to_string())?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
        let [mask] = self.model.run_n(vec![(input, picture.into())], [output], Some(options)).map_err(|error| error.to_string())?;
        let (_, values) = mask.into_shape_vec::<f32, 4>().map_err(|error| error.to_string())?;
        Ok(values)
    }
}

impl Runtime for Rten {
    fn side(&self) -> Option<u32> {
        match self.model.input_shape(0)?.as_slice() {
            [_, _, Dimension::Fixed(height), Dimension::Fixed(width)] if height == width => u32::try_from(*height).ok(),
            _ => None,
        }
    }

    fn run(&self, planes: Vec<f32>, side: u32) -> Result<Vec<f32>, String> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let free = idle().pop();
        let pool = free.unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(1)));
        // Waiting for another pool from inside rayon means taking up other work, here the next picture, and then the next in
        // that: without bound. A plain thread waits in our place, and waiting for it is just waiting.
        let answer = thread::scope(|scope| scope.spawn(|| self.run_in(&pool, planes, side)).join());
        idle().push(pool);
        answer.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}
