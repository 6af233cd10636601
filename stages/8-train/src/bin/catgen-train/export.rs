//! A trained generator for other programs: safetensors, TorchScript or ONNX, each with a card that says what it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use catgen_train::Event;
use serde_json::{Map, Value};
use tch::{CModule, Device, Kind, Tensor};

use crate::{
    checkpoint,
    error::Failure,
    model::{Card, Chosen, Model},
    onnx, record,
};

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// The weights by name; this program reads them again
    Safetensors,
    /// A program that torch.jit.load and libtorch run
    Torchscript,
    /// A graph that onnxruntime runs
    Onnx,
}

/// What to write, of what, and where to.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) chosen: Chosen,
    pub(crate) format: Format,
    pub(crate) out: PathBuf,
    /// What goes into the card as it is.
    pub(crate) notes: Map<String, Value>,
}

/// Writes the model and its card.
pub(crate) fn export(export: &Export) -> Result<Event, Failure> {
    let mut model = Model::open(&Chosen { device: catgen_train::Device::Cpu, ..export.chosen.clone() })?;
    model.notes.extend(export.notes.clone());
    let bytes = match export.format {
        Format::Safetensors => safetensors(&model)?,
        Format::Torchscript => torchscript(&model, &export.out)?,
        Format::Onnx => onnx(&model),
    };
    let name = export.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let usage = match export.format {
        Format::Safetensors => format!("weights = safetensors.torch.load_file({name:?}), or `catgen-pipe generate --checkpoint {name}`"),
        Format::Torchscript => format!("torch.jit.load({name:?})(torch.randn(16, {})).clamp(-1, 1)", model.options.latent),
        Format::Onnx => format!(
            "onnxruntime.InferenceSession({name:?}).run(None, {{'z': numpy.random.randn(16, {}).astype('float32')}})[0].clip(-1, 1)",
            model.options.latent
        ),
    };
    write(&model, &export.out, &bytes, &usage)
}

/// Writes a file and its card, the card last: a card without its file would be worse than the opposite.
pub(crate) fn write(model: &Model, out: &Path, bytes: &[u8], usage: &str) -> Result<Event, Failure> {
    let card: Card = model.card(out, bytes, usage);
    let card_at = out.with_extension("json");
    if card_at == out {
        return Err(Failure::unfit("the card has the ending .json, so the model cannot", "give another name to --out"));
    }
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::file("write to", folder, &error))?;
    }
    record::write(out, bytes).map_err(|error| Failure::file("write", out, &error))?;
    let text = serde_json::to_vec_pretty(&card).expect("a card is plain data");
    record::write(&card_at, &text).map_err(|error| Failure::file("write", &card_at, &error))?;
    let about = format!("{} {}, {} px, {} parameters, {}", card.preset, card.width, card.side, card.parameters, card.weights);
    Ok(Event::Written { files: vec![out.display().to_string(), card_at.display().to_string()], about })
}

/// Parameters and statistics by the names of their layers.
pub(crate) fn safetensors(model: &Model) -> Result<Vec<u8>, Failure> {
    let generator = &model.generator;
    let tensors = generator.by_name(&generator.flat).chain(generator.statistics()).map(|(name, tensor)| (name.to_owned(), tensor));
    checkpoint::serialize(tensors).map_err(|error| Failure::broken(format!("cannot write safetensors: {error}"), "report this"))
}

/// The generator as a program: what it computes is recorded while it draws.
fn torchscript(model: &Model, out: &Path) -> Result<Vec<u8>, Failure> {
    let _guard = tch::no_grad_guard();
    let z = Tensor::zeros([2, model.options.latent as i64], (Kind::Float, Device::Cpu)); // [2, Z]
    let draw = &mut |inputs: &[Tensor]| vec![model.draw(&inputs[0])];
    let module = CModule::create_by_tracing("Generator", "forward", &[z], draw)?;
    // libtorch writes files only; into a folder of its own, so that nobody sees half of one.
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| Failure::file("write to", folder, &error))?;
    let mut aside = out.as_os_str().to_owned();
    aside.push(".part");
    module.save(&aside)?;
    let bytes = fs::read(&aside).map_err(|error| Failure::file("read", Path::new(&aside), &error))?;
    fs::remove_file(&aside).map_err(|error| Failure::file("remove", Path::new(&aside), &error))?;
    Ok(bytes)
}

fn onnx(model: &Model) -> Vec<u8> {
    let card = model.card(Path::new("model.onnx"), b"", "");
    let about = [
        ("preset", card.preset),
        ("weights", card.weights),
        ("input", "z: N x latent, each number from N(0, 1)".to_owned()),
        ("output", "pictures: N x 3 x side x side, RGB, -1 is black and 1 is white; clamp before use".to_owned()),
        ("licence", card.licence),
        ("training", card.training.to_string()),
    ];
    onnx::generator(&model.generator, model.options.latent, model.side, &about)
}

#[cfg(test)]
pub(crate) mod tests {
    use catgen_train::{Preset, TrainOptions};
    use serde_json::json;

    use super::*;
    use crate::{model::Which, network, python, rng};

    /// A generator with weights and running statistics as if it had been trained.
    pub(crate) fn model(preset: Preset, width: u64, side: u64) -> Model {
        let options = TrainOptions { preset, latent: 12, width, ..TrainOptions::default() }.resolved();
        let mut generator = network::generator(&options, side, Device::Cpu);
        generator.initialise(5, 0);
        // As they are first, some of r3gan's weights are 0, and so would be the error in them.
        let noise = rng::seeded(5, rng::Purpose::Step, 0, || generator.flat.randn_like());
        tch::no_grad(|| drop(generator.flat.g_add_(&(noise * 0.05))));
        let z = rng::noise(5, 0, 64, 12, Device::Cpu);
        tch::no_grad(|| drop(generator.forward(&z, crate::network::Mode::Train)));
        let (training, notes) = (json!({"dataset": "d", "steps": 40}), Map::new());
        Model { generator, discriminator: None, options, side, step: 40, averaged: true, training, notes, device: Device::Cpu }
    }

    const PRESETS: [(Preset, u64, u64); 4] =
        [(Preset::Dcgan, 8, 64), (Preset::Dcgan, 4, 32), (Preset::DcganKeras, 8, 64), (Preset::R3ganS, 16, 32)];

    /// Latents and what our own network makes of them, as NumPy files beside the model.
    fn reference(model: &Model, folder: &Path) {
        // Another batch than the one that was traced.
        let z = rng::noise(9, 1, 5, 12, Device::Cpu);
        z.write_npy(folder.join("z.npy")).unwrap();
        model.draw(&z).contiguous().write_npy(folder.join("pictures.npy")).unwrap();
    }

    #[test]
    fn torch_and_onnxruntime_draw_the_same_pictures() {
        for (preset, width, side) in PRESETS {
            let (folder, model) = (tempfile::tempdir().unwrap(), model(preset, width, side));
            reference(&model, folder.path());
            let script = torchscript(&model, &folder.path().join("model.pt")).unwrap();
            fs::write(folder.path().join("model.pt"), script).unwrap();
            fs::write(folder.path().join("model.onnx"), onnx(&model)).unwrap();
            let check = |modules: &str, draw: &str| {
                let program = format!(
                    "import numpy; z = numpy.load('z.npy'); expected = numpy.load('pictures.npy'); drawn = {draw}; \
                     assert drawn.shape == expected.shape; print(abs(drawn - expected).max(), abs(expected).max())"
                );
                let Some(printed) = python::run(modules, folder.path(), &format!("import {modules}\n{program}")) else { return };
                let numbers: Vec<f64> = printed.split_whitespace().map(|word| word.parse().unwrap()).collect();
                // Of the largest number: r3gan's pictures are not bounded, and those of so narrow a dcgan are pale.
                assert!(numbers[0] < 1e-5 * numbers[1], "{preset:?} {modules}: {printed}");
                assert!(numbers[1] > 1e-3, "{preset:?}: the pictures are empty");
                eprintln!("{preset:?} {side} px, {modules}: largest difference {}", numbers[0]);
            };
            check("torch", "torch.jit.load('model.pt')(torch.from_numpy(z)).detach().numpy()");
            check("onnxruntime", "onnxruntime.InferenceSession('model.onnx').run(None, {'z': z})[0]");
        }
    }

    #[test]
    fn a_written_model_is_read_again_and_its_card_says_what_it_is() {
        for (preset, width, side) in PRESETS {
            let (folder, model) = (tempfile::tempdir().unwrap(), model(preset, width, side));
            let out = folder.path().join("cats.safetensors");
            write(&model, &out, &safetensors(&model).unwrap(), "how").unwrap();
            let card: Value = serde_json::from_slice(&fs::read(out.with_extension("json")).unwrap()).unwrap();
            assert_eq!((&card["file"], &card["side"], &card["latent"]), (&json!("cats.safetensors"), &json!(side), &json!(12)));
            assert_eq!(card["parameters"], json!(model.parameters()));
            assert!(card["weights"].as_str().unwrap().starts_with("averaged") && card["licence"].is_string());
            let chosen = |place: PathBuf| Chosen { place, which: Which::Last, raw: false, device: catgen_train::Device::Cpu };
            let read = Model::open(&chosen(out.clone())).unwrap();
            let z = rng::noise(9, 1, 3, 12, Device::Cpu);
            assert_eq!(read.draw(&z), model.draw(&z));
            assert_eq!((read.step, read.averaged, read.options.preset), (40, true, preset));
            let mut bytes = fs::read(&out).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&out, bytes).unwrap();
            assert!(Model::open(&chosen(out)).unwrap_err().to_string().contains("belong together"));
        }
    }
}
