//! `TorchScript`: features from a network that libtorch opens, such as the Inception that FID is defined by.

use std::{fs, path::Path, sync::Mutex};

use catgen_api::{Digest, StageError};
use catgen_train::{
    Pictures,
    features::{Extractor, INCEPTION, name_of, planes},
};
use sha2::{Digest as _, Sha256};
use tch::{CModule, Device, IValue, Kind, Tensor};

/// SHA-256 of `inception-2015-12-05.pt` as NVIDIA publishes it with stylegan2-ada-pytorch, 95,607,719 bytes: the weights of the
/// network that FID was defined with (Heusel et al. 2017).
const INCEPTION_SHA256: &str = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4";

/// The side of the Inception's input.
const SIDE: usize = 299;

/// Pictures in one call.
const BATCH: usize = 32;

/// A network in TorchScript.
#[derive(Debug)]
pub(crate) struct TorchScript {
    name: String,
    path: String,
    /// A network in TorchScript may change what it holds as it runs.
    network: Mutex<CModule>,
    device: Device,
}

impl TorchScript {
    /// The network in that file.
    ///
    /// # Errors
    /// A file that cannot be read or is no TorchScript.
    pub(crate) fn open(path: &Path, device: Device) -> Result<Self, StageError> {
        let shown = path.display().to_string();
        let unreadable = |detail: String| StageError::Broken {
            what: format!("the feature network {shown} cannot be read: {detail}"),
            hint: "a file that torch.jit.save wrote is expected".to_owned(),
        };
        let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let is_inception = format!("{:x}", Sha256::digest(&bytes)) == INCEPTION_SHA256;
        let name = if is_inception { INCEPTION.to_owned() } else { name_of(path, &Digest::of(&bytes)) };
        let mut network = CModule::load_data_on_device(&mut bytes.as_slice(), device)
            .map_err(|error| unreadable(crate::error::first_lines(&error.to_string())))?;
        network.set_eval();
        Ok(Self { name, path: shown, network: Mutex::new(network), device })
    }

    /// What the network says of `input`: [B, D].
    fn answer(&self, input: Tensor) -> Result<Tensor, String> {
        let network = self.network.lock().map_err(|_| "it failed before".to_owned())?;
        let said = |error: tch::TchError| crate::error::first_lines(&error.to_string());
        // NVIDIA's file gives its 2,048 features, not its classes, where its second argument says so.
        let inputs = match self.name == INCEPTION {
            true => vec![IValue::Tensor(input), IValue::Bool(true)],
            false => vec![IValue::Tensor(input)],
        };
        match tch::no_grad(|| network.forward_is(&inputs)).map_err(said)? {
            IValue::Tensor(features) => Ok(features),
            IValue::Tuple(outputs) => match outputs.into_iter().next() {
                Some(IValue::Tensor(features)) => Ok(features),
                other => Err(format!("its first output is {other:?}, no tensor")),
            },
            other => Err(format!("its output is {other:?}, no tensor")),
        }
    }
}

impl Extractor for TorchScript {
    fn name(&self) -> &str {
        &self.name
    }

    fn features(&self, pictures: &Pictures) -> Result<Vec<f32>, StageError> {
        let unfit = |detail: String| StageError::Broken {
            what: format!("the feature network {} does not work here: {detail}", self.path),
            hint: format!("one that makes B × features of B × 3 × {SIDE} × {SIDE} values of 0 to 255 is expected"),
        };
        let mut all = Vec::new();
        for from in (0..pictures.len()).step_by(BATCH) {
            let batch = BATCH.min(pictures.len() - from);
            let input: Vec<f32> = (from..from + batch).flat_map(|at| planes(pictures, at, SIDE)).collect();
            let side = SIDE as i64;
            let input = Tensor::from_slice(&input).view([batch as i64, 3, side, side]).to_device(self.device); // [B, 3, 299, 299]
            let features = self.answer(input).map_err(unfit)?;
            if features.size().first() != Some(&(batch as i64)) {
                return Err(unfit(format!("its output has the shape {:?} for {batch} pictures", features.size())));
            }
            let features = features.to_kind(Kind::Float).to_device(Device::Cpu).reshape([-1]); // [B · D]
            all.extend(Vec::<f32>::try_from(features).map_err(|error| unfit(error.to_string()))?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that answers the mean of each colour, saved as TorchScript.
    fn saved(folder: &Path) -> std::path::PathBuf {
        let input = Tensor::zeros([2, 3, SIDE as i64, SIDE as i64], (Kind::Float, Device::Cpu));
        let mut network = |inputs: &[Tensor]| vec![inputs[0].mean_dim([2i64, 3].as_slice(), false, Kind::Float)];
        let module = CModule::create_by_tracing("means", "forward", &[input], &mut network).unwrap();
        let path = folder.join("means.pt");
        module.save(&path).unwrap();
        path
    }

    #[test]
    fn a_traced_network_gives_its_features_and_is_not_called_inception() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(folder.path());
        let net = TorchScript::open(&path, Device::Cpu).unwrap();
        assert!(net.name().starts_with("means-") && net.name().ends_with("-v2"), "{}", net.name());
        // 40 pictures, so two calls: of one colour each.
        let bytes: Vec<u8> = (0..40u8).flat_map(|n| [n, 100 + n, 200].map(|value| [value; 16])).flatten().collect();
        let features = net.features(&Pictures::new(4, bytes).unwrap()).unwrap();
        assert_eq!(features.len(), 120);
        for (n, means) in features.chunks(3).enumerate() {
            for (found, expected) in means.iter().zip([n as f32, 100.0 + n as f32, 200.0]) {
                assert!((found - expected).abs() < 1e-2, "picture {n}: {found}, expected {expected}");
            }
        }
        // Whatever its name: the word FID needs the weights.
        let inception = folder.path().join("inception-2015-12-05.pt");
        fs::rename(path, &inception).unwrap();
        assert_ne!(TorchScript::open(&inception, Device::Cpu).unwrap().name(), INCEPTION);
        fs::write(&inception, "no").unwrap();
        assert!(TorchScript::open(&inception, Device::Cpu).unwrap_err().to_string().contains("cannot be read"));
    }
}
