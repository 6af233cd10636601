//! Generators that were trained elsewhere: the weights of PyTorch's DCGAN tutorial, as `torch.save` or safetensors wrote them.
//!
//! They need not say what they are: `main.0.weight` [Z, 8w, 4, 4] to `main.12.weight` [w, 3, 4, 4] do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use catgen_train::{Device as Wanted, Event, Preset, TrainOptions};
use serde_json::{Map, json};
use tch::Device;

use crate::{
    checkpoint::Tensors,
    device,
    error::Failure,
    export,
    model::{self, Model},
    network,
    pickle::{self, PickleError},
};

/// What to do with a file that only Python can read.
const CONVERT: &str = "with the PyTorch that wrote it: python -c \"import torch; m = torch.load('FILE', map_location='cpu', weights_only=False); \
                       torch.save(getattr(m, 'state_dict', lambda: m)(), 'new.pth')\", then import new.pth";

/// Reads a file of weights and writes a model with its card.
pub(crate) fn import(file: &Path, out: &Path, notes: Map<String, serde_json::Value>) -> Result<Event, Failure> {
    let mut notes = notes;
    notes.insert("imported_from".to_owned(), file.file_name().unwrap_or_default().to_string_lossy().into());
    let model = read(file, notes)?;
    let out: PathBuf = out.with_extension("safetensors");
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = export::safetensors(&model)?;
    export::write(&model, &out, &bytes, &format!("catgen-pipe generate --checkpoint {name}"))
}

fn read(file: &Path, notes: Map<String, serde_json::Value>) -> Result<Model, Failure> {
    let unfit = |what: &str, hint: &str| Failure::unfit(format!("{}: {what}", file.display()), hint);
    let tensors: Tensors = if file.extension().is_some_and(|extension| extension == "safetensors") {
        let bytes = fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
        model::tensors(&bytes).map_err(|what| unfit(&what, "give a file of weights"))?
    } else {
        let read = pickle::read(file).map_err(|error| match error {
            PickleError::Old => unfit(&error.to_string(), CONVERT),
            PickleError::Damaged(what) => unfit(&what, "give a file that torch.save wrote"),
        })?;
        read.into_iter().collect()
    };
    const WANTED: &str = "the generator of PyTorch's DCGAN tutorial is wanted: main.0.weight, main.1.weight, ...";
    let shape = Shape::of(&tensors).map_err(|what| unfit(&what, WANTED))?;
    let options = TrainOptions { preset: Preset::Dcgan, latent: shape.latent, width: shape.width, ..TrainOptions::default() }.resolved();
    let device = device::choose(Wanted::Cpu)?;
    let generator = network::generator(&options, shape.side, device);
    model::fill(&generator, &tensors, &shape.prefix).map_err(|what| unfit(&what, WANTED))?;
    let training = json!({"steps": null, "dataset": null});
    Ok(Model { generator, discriminator: None, options, side: shape.side, step: 0, averaged: false, training, notes, device: Device::Cpu })
}

/// What the shapes of its weights say of a generator.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    /// What comes before `main.0.weight`.
    prefix: String,
    latent: u64,
    width: u64,
    side: u64,
}

impl Shape {
    fn of(tensors: &Tensors) -> Result<Self, String> {
        const FIRST: &str = "main.0.weight";
        // The generator of a file with both: the first convolution of the discriminator has 3 channels in.
        let is_first = |(name, tensor): (&String, &tch::Tensor)| {
            let prefix = name.strip_suffix(FIRST).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))?;
            let [latent, _, 4, 4] = tensor.size()[..] else { return None };
            let second = tensors.get(&format!("{prefix}main.1.weight")).is_some();
            second.then(|| (prefix.to_owned(), latent))
        };
        let (prefix, latent) = tensors.iter().find_map(is_first).ok_or_else(|| {
            let names: Vec<&str> = tensors.keys().map(String::as_str).take(3).collect();
            if names.is_empty() {
                "there are no tensors in it".to_owned()
            } else {
                format!("its tensors are called {}, ...", names.join(", "))
            }
        })?;
        let mut convolutions = Vec::new();
        while let Some(tensor) = tensors.get(&format!("{prefix}main.{}.weight", 3 * convolutions.len())) {
            convolutions.push(tensor.size());
        }
        match convolutions.last().map(Vec::as_slice) {
            Some(&[width, 3, 4, 4]) if (4..=7).contains(&convolutions.len()) => {
                Ok(Self { prefix, latent: latent as u64, width: width as u64, side: 4 << (convolutions.len() - 1) })
            }
            Some([_, channels, ..]) if *channels != 3 => Err(format!("it draws pictures of {channels} channels, and 3 are wanted")),
            other => Err(format!("its last weights have the shape {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    fn weights(prefix: &str, latent: i64, width: i64, convolutions: usize, channels: i64) -> Tensors {
        let mut tensors = Tensors::new();
        let mut from = latent;
        for at in 0..convolutions {
            let last = at + 1 == convolutions;
            let to = if last { channels } else { width << (convolutions - 2 - at) };
            tensors.insert(format!("{prefix}main.{}.weight", 3 * at), Tensor::zeros([from, to, 4, 4], (Kind::Float, Device::Cpu)));
            if !last {
                tensors.insert(format!("{prefix}main.{}.weight", 3 * at + 1), Tensor::zeros([to], (Kind::Float, Device::Cpu)));
            }
            from = to;
        }
        tensors
    }

    #[test]
    fn shapes_say_what_a_generator_is() {
        let shape = |prefix: &str, latent, width, side| Ok(Shape { prefix: prefix.to_owned(), latent, width, side });
        assert_eq!(Shape::of(&weights("", 100, 64, 5, 3)), shape("", 100, 64, 64));
        assert_eq!(Shape::of(&weights("module.", 128, 8, 6, 3)), shape("module.", 128, 8, 128));
        assert!(Shape::of(&weights("", 100, 64, 5, 1)).unwrap_err().contains("1 channels"));
        assert!(Shape::of(&weights("net", 100, 64, 5, 3)).unwrap_err().contains("netmain.0.weight"));
        assert!(Shape::of(&Tensors::new()).unwrap_err().contains("no tensors"));
    }

    /// The tutorial's generator in Python, with some weights, saved in every way that people save it.
    const TUTORIAL: &str = "
import torch, numpy
from torch import nn
torch.manual_seed(3)
class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.ngpu = 1
        layers, sides = [], [12, 64, 32, 16, 8]
        for n in range(4):
            layers += [nn.ConvTranspose2d(sides[n], sides[n + 1], 4, 1 if n == 0 else 2, 0 if n == 0 else 1, bias=False)]
            layers += [nn.BatchNorm2d(sides[n + 1]), nn.ReLU(True)]
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False), nn.Tanh())
    def forward(self, z):
        return self.main(z)
net = Generator()
for _ in range(3):
    net(torch.randn(32, 12, 1, 1))
net.eval()
z = torch.randn(5, 12)
numpy.save('z.npy', z.numpy())
numpy.save('pictures.npy', net(z[:, :, None, None]).detach().numpy())
torch.save(net.state_dict(), 'state.pth')
torch.save({'epoch': 3, 'netG': net.state_dict(), 'optimizer': torch.optim.Adam(net.parameters()).state_dict()}, 'both.pth')
torch.save(nn.DataParallel(net).state_dict(), 'parallel.pth')
torch.save(net, 'module.pth')
torch.save({name: weight.half() for name, weight in net.state_dict().items()}, 'half.pth')
torch.save(net.state_dict(), 'old.pth', _use_new_zipfile_serialization=False)
from safetensors.torch import save_file
save_file({name: weight for name, weight in net.state_dict().items() if weight.dim()}, 'state.safetensors')
";

    #[test]
    fn what_python_saves_draws_the_same_here() {
        let folder = tempfile::tempdir().unwrap();
        if crate::python::run("torch, safetensors", folder.path(), TUTORIAL).is_none() {
            return;
        }
        let file = |name: &str| folder.path().join(name);
        let load = |name: &str| Tensor::read_npy(file(name)).unwrap();
        for (name, far) in [
            ("state.pth", 1e-5),
            ("both.pth", 1e-5),
            ("parallel.pth", 1e-5),
            ("module.pth", 1e-5),
            ("state.safetensors", 1e-5),
            ("half.pth", 5e-3),
        ] {
            let model = read(&file(name), Map::new()).unwrap();
            assert_eq!((model.side, model.options.latent, model.options.width), (64, 12, 8), "{name}");
            let found = (model.draw(&load("z.npy")) - load("pictures.npy")).abs().max().double_value(&[]);
            assert!(found < far, "{name}: {found}");
        }
        let refused = read(&file("old.pth"), Map::new()).unwrap_err();
        assert_eq!(refused.exit_status(), 2);
        let Event::Error { hint, .. } = refused.event() else { panic!() };
        assert!(hint.contains("torch.save"), "{hint}");
        // Cut short, or with bytes changed, it is refused in words: it does not panic.
        let whole = fs::read(file("state.pth")).unwrap();
        for keep in [0, 10, whole.len() / 2, whole.len() - 1] {
            fs::write(file("cut.pth"), &whole[..keep]).unwrap();
            assert!(read(&file("cut.pth"), Map::new()).is_err(), "{keep} bytes");
        }
    }
}
