//! Features from an ONNX network.

use std::{fs, path::Path};

use catgen_api::{Digest, StageError};
use catgen_onnx::{Network, Runtime};
use rayon::prelude::*;

use super::{Extractor, bytes, name_of};
use crate::Pictures;

/// The side of the input where the file leaves it open.
const SIDE: usize = 224;

/// Pictures in one call: the same whatever the number of threads, so that the last bits are, too.
const BATCH: usize = 8;

/// A network from an ONNX file, run on all cores.
pub struct OnnxFeatures {
    name: String,
    path: String,
    network: Box<dyn Network>,
    side: usize,
}

impl OnnxFeatures {
    /// The network in that file.
    ///
    /// # Errors
    /// A file that cannot be read or is no network.
    pub fn open(path: &Path, runtime: &Runtime) -> Result<Self, StageError> {
        let shown = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| StageError::Broken {
            what: format!("cannot read the feature network {shown}: {error}"),
            hint: "check the file's permissions".to_owned(),
        })?;
        let name = name_of(path, &Digest::of(&bytes));
        let network = runtime.load(bytes, &shown)?;
        let side = network.side().unwrap_or(SIDE);
        Ok(Self { name, path: shown, network, side })
    }
}

impl Extractor for OnnxFeatures {
    fn name(&self) -> &str {
        &self.name
    }

    fn features(&self, pictures: &Pictures) -> Result<Vec<f32>, StageError> {
        let unfit = |detail: String| StageError::Broken {
            what: format!("the feature network {} does not work here: {detail}", self.path),
            hint: "one with an input N × 3 × S × S and an output N × features is expected".to_owned(),
        };
        let starts: Vec<usize> = (0..pictures.len()).step_by(BATCH).collect();
        let batches = starts.par_iter().map(|&from| {
            let batch = BATCH.min(pictures.len() - from);
            let input =
                (from..from + batch).flat_map(|at| bytes(pictures, at, self.side)).map(|byte| (f32::from(byte) - 127.0) / 128.0).collect();
            let answer = self.network.run([batch, 3, self.side, self.side], input, "features").map_err(unfit)?;
            if answer.is_empty() || !answer.len().is_multiple_of(batch) {
                return Err(unfit(format!("it answered {} numbers for {batch} pictures", answer.len())));
            }
            Ok(answer)
        });
        Ok(batches.collect::<Result<Vec<_>, _>>()?.concat())
    }
}
