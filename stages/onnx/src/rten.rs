//! rten: the runtime that is built in.

use std::{
    panic,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rten::{Dimension, Model, RunOptions, ThreadPool, Value};

use crate::Network;

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

    fn run_in(&self, pool: &Arc<ThreadPool>, shape: [usize; 4], planes: Vec<f32>, output: &str) -> Result<Vec<f32>, String> {
        let outputs = self.model.output_ids();
        let named = outputs.iter().find(|id| self.model.node_info(**id).is_some_and(|node| node.name() == Some(output)));
        let (Some(&input), Some(&output)) = (self.model.input_ids().first(), named.or(outputs.first())) else {
            return Err("it has no input or no output".to_owned());
        };
        let pictures = Value::from_shape(shape, planes).map_err(|error| error.to_string())?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
        let [answer] = self.model.run_n(vec![(input, pictures.into())], [output], Some(options)).map_err(|error| error.to_string())?;
        match answer {
            Value::FloatTensor(numbers) => Ok(numbers.into_data()),
            other => Err(format!("its output is {:?}, and floats are wanted", other.dtype())),
        }
    }
}

impl Network for Rten {
    fn run(&self, shape: [usize; 4], planes: Vec<f32>, output: &str) -> Result<Vec<f32>, String> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let free = idle().pop();
        let pool = free.unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(1)));
        // Waiting for another pool from inside rayon means taking up other work, here the next picture, and then the next in
        // that: without bound. A plain thread waits in our place, and waiting for it is just waiting.
        let answer = thread::scope(|scope| scope.spawn(|| self.run_in(&pool, shape, planes, output)).join());
        idle().push(pool);
        answer.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    fn side(&self) -> Option<usize> {
        match self.model.input_shape(0)?[..] {
            [.., Dimension::Fixed(height), Dimension::Fixed(width)] if height == width => Some(height),
            _ => None,
        }
    }
}
