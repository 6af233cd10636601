//! Looks into a trained generator: the maps that its layers make of one seed, and how one of them builds its output.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use catgen_picture::{Picture, Rgb, RgbImage};
use catgen_train::{
    Event,
    canvas::{Canvas, FAINT, INK, Letters, diverging},
    conv::{Geometry, Layer, Maps},
    explain::Explanation,
};
use tch::{Device, Kind, Tensor};

use crate::{
    error::Failure,
    grid, latent,
    model::{Chosen, Model},
    network::{self, Mode, Op},
};

/// What the sheet of maps shows.
#[derive(Debug)]
pub(crate) struct Features {
    pub(crate) chosen: Chosen,
    pub(crate) seed: u64,
    /// Maps of each layer.
    pub(crate) maps: u64,
    pub(crate) out: PathBuf,
}

/// What the explanation of a layer shows.
#[derive(Debug)]
pub(crate) struct Explain {
    pub(crate) chosen: Chosen,
    pub(crate) seed: u64,
    /// Which of the transposed convolutions, counted from 1.
    pub(crate) layer: usize,
    /// Channels in and out that are shown.
    pub(crate) channels: [usize; 2],
    pub(crate) per_second: f64,
    /// The GIF; the sheet lies beside it.
    pub(crate) out: PathBuf,
}

/// What one layer made of the seed: its name, what it is, what went in and what came out ([C, h, w] each).
pub(crate) struct Seen {
    name: String,
    op: Op,
    before: Tensor,
    after: Tensor,
}

impl Seen {
    /// What came out, as maps.
    pub(crate) fn maps(&self) -> Maps {
        maps(&self.after)
    }

    /// Its name, what it is, and the size of what comes out.
    pub(crate) fn layer(&self) -> catgen_train::serve::Layer {
        let size = self.after.size();
        let size = std::array::from_fn(|axis| size[axis] as u64);
        catgen_train::serve::Layer { name: self.name.clone(), what: word(&self.op).to_owned(), size }
    }
}

/// What every layer of maps makes of a seed.
pub(crate) fn seen(model: &Model, seed: u64) -> Vec<Seen> {
    let z = latent::tensor(&[latent::of_seed(seed, model.options.latent)], model.device); // [1, Z]
    let mut layers = Vec::new();
    let mut before = z.shallow_clone();
    tch::no_grad(|| {
        let _ = model.generator.forward_seen(&z, Mode::Eval, &mut |layer: &network::Layer, after: &Tensor| {
            if after.dim() == 4 && before.dim() == 4 {
                let one = |maps: &Tensor| maps.get(0).to_device(Device::Cpu).to_kind(Kind::Float);
                layers.push(Seen { name: layer.name.clone(), op: layer.op.clone(), before: one(&before), after: one(after) });
            }
            before = after.shallow_clone();
        });
    });
    layers
}

/// Draws the maps of every layer on one sheet: a row for each, the channels that differ most within themselves first.
pub(crate) fn features(features: &Features) -> Result<Event, Failure> {
    const TILE: u32 = 72;
    const GAP: u32 = 4;
    let model = Model::open(&features.chosen)?;
    let layers = seen(&model, features.seed);
    let columns = features.maps as u32;
    let line = Letters::PLAIN.size()[1] + 4;
    let high = TILE + line + 2 * GAP;
    let width = (columns * (TILE + GAP)).max(640) + 2 * GAP;
    let mut sheet = Canvas::new(width, layers.len() as u32 * high + line + 3 * GAP);
    let title = format!(
        "seed {} through {} layers: blue is negative, red positive, each row by its own largest; the most varied of its channels",
        features.seed,
        layers.len()
    );
    sheet.text([GAP, GAP], &title, Letters::PLAIN, INK);
    let last = layers.len().saturating_sub(1);
    for (at, layer) in layers.iter().enumerate() {
        let y = line + 2 * GAP + at as u32 * high;
        let maps = maps(&layer.after);
        let [rows, cols] = maps.size;
        sheet.fill([0, y - 2], [width, 1], FAINT);
        let text = format!("{} {}: {} x {rows} x {cols}, up to {:.2}", layer.name, word(&layer.op), maps.channels, {
            let all: Vec<usize> = (0..maps.channels).collect();
            maps.magnitude(&all)
        });
        sheet.text([GAP, y], &text, Letters::PLAIN, INK);
        let shown = varied(&maps, columns as usize);
        let full = maps.magnitude(&shown).max(f32::MIN_POSITIVE);
        // The last is the picture: its three channels, and all together.
        let mut x = GAP;
        for channel in shown {
            let colour = |row: usize, column: usize| Rgb(diverging(maps.get(channel, [row, column]) / full));
            sheet.put([x, y + line], &scaled(TILE, [rows, cols], colour));
            x += TILE + GAP;
        }
        if at == last && maps.channels == 3 {
            let level = |value: f32| ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8;
            let colour = |row: usize, column: usize| Rgb(std::array::from_fn(|channel| level(maps.get(channel, [row, column]))));
            sheet.put([x, y + line], &scaled(TILE, [rows, cols], colour));
        }
    }
    write_sheet(&features.out, &Picture::Rgb(sheet.0))?;
    Ok(Event::Written {
        files: vec![features.out.display().to_string()],
        about: format!("{} layers, seed {}", layers.len(), features.seed),
    })
}

/// A map as a picture of about so many pixels, without smoothing.
fn scaled(side: u32, [rows, columns]: [usize; 2], colour: impl Fn(usize, usize) -> Rgb<u8>) -> RgbImage {
    let place = |at: u32, of: usize| (at as usize * of / side as usize).min(of - 1);
    RgbImage::from_fn(side, side, |x, y| colour(place(y, rows), place(x, columns)))
}

fn word(op: &Op) -> &'static str {
    match op {
        Op::ToMap => "to maps",
        Op::Unflatten { .. } => "to maps",
        Op::Conv { .. } => "convolution",
        Op::ConvTransposed { .. } => "transposed convolution",
        Op::Norm { .. } => "batch norm",
        Op::Relu => "ReLU",
        Op::LeakyRelu { .. } => "leaky ReLU",
        Op::Tanh => "tanh",
        Op::Basis { .. } => "learned maps",
        Op::Enlarge { .. } => "enlarge",
        Op::Reduce { .. } => "reduce",
        Op::Residual(_) => "residual block",
        Op::Dropout { .. } | Op::Flatten | Op::Logits | Op::Dense { .. } => "",
    }
}

/// A tensor [C, h, w] as maps.
fn maps(tensor: &Tensor) -> Maps {
    let [channels, rows, columns] = tensor.size()[..] else { panic!("maps have three dimensions") };
    let values = Vec::<f32>::try_from(tensor.reshape([-1])).expect("maps are numbers");
    Maps { channels: channels as usize, size: [rows as usize, columns as usize], values }
}

/// The channels with the largest spread, the largest first; of three, all, in their order: they are colours.
pub(crate) fn varied(maps: &Maps, most: usize) -> Vec<usize> {
    if maps.channels <= 3 {
        return (0..maps.channels).collect();
    }
    let size = maps.size[0] * maps.size[1];
    let spread = |channel: &usize| {
        let values = &maps.values[channel * size..(channel + 1) * size];
        let mean = values.iter().sum::<f32>() / size as f32;
        values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / size as f32
    };
    let mut channels: Vec<(f32, usize)> = (0..maps.channels).map(|channel| (spread(&channel), channel)).collect();
    channels.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    channels.into_iter().take(most.max(1)).map(|(_, channel)| channel).collect()
}

/// Draws how a layer builds its output, from what the layers before it made of the seed and with its own kernels.
pub(crate) fn explain(order: &Explain) -> Result<Event, Failure> {
    let model = Model::open(&order.chosen)?;
    let (explanation, expected) = explanation(&model, order)?;
    let drawn = explanation.frames().map_err(|error| Failure::broken(error.to_string(), "report this"))?;
    // What is drawn is what libtorch computes, or it is not drawn.
    let summed = explanation.shown[1].iter().copied();
    let far = summed.flat_map(|channel| {
        let size = expected.size[0] * expected.size[1];
        let of = |maps: &Maps| maps.values[channel * size..(channel + 1) * size].to_vec();
        of(&drawn.output).into_iter().zip(of(&expected)).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>()
    });
    let (far, full) = (far.fold(0.0f32, f32::max), expected.magnitude(&explanation.shown[1]));
    if far > 1e-3 * full.max(1.0) {
        return Err(Failure::broken(format!("what was drawn differs from what the layer computes, by {far} of {full}"), "report this"));
    }
    let sheet = order.out.with_extension("png");
    if let Some(folder) = order.out.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::file("write to", folder, &error))?;
    }
    let aside = order.out.with_extension("gif.part");
    let cannot = |error: std::io::Error| Failure::file("write", &order.out, &error);
    let file = BufWriter::new(File::create(&aside).map_err(cannot)?);
    let written = drawn.write_gif(file, order.per_second).and_then(|mut file| file.flush());
    written.and_then(|()| fs::rename(&aside, &order.out)).map_err(cannot)?;
    write_sheet(&sheet, &drawn.sheet())?;
    let about = format!("{}, {} frames", explanation.title, drawn.frames.len());
    Ok(Event::Written { files: vec![order.out.display().to_string(), sheet.display().to_string()], about })
}

/// What there is to explain of a layer, and what libtorch makes of the same input.
fn explanation(model: &Model, order: &Explain) -> Result<(Explanation, Maps), Failure> {
    let layers = seen(model, order.seed);
    let stamping: Vec<(usize, &Seen)> =
        layers.iter().enumerate().filter(|(_, layer)| matches!(layer.op, Op::ConvTransposed { .. } | Op::Enlarge { .. })).collect();
    let Some((at, layer)) = order.layer.checked_sub(1).and_then(|at| stamping.get(at)) else {
        let names: Vec<String> = stamping.iter().enumerate().map(|(at, (_, layer))| format!("{} is {}", at + 1, layer.name)).collect();
        return Err(Failure::unfit(
            format!("the generator has {} transposed convolutions, and no number {}", stamping.len(), order.layer),
            format!("--layer: {}", names.join(", ")),
        ));
    };
    let failed = |error: catgen_train::conv::GeometryError| Failure::broken(error.to_string(), "report this");
    let title = format!("{} of {}, seed {}", layer.name, model.preset(), order.seed);
    let (before, after) = (maps(&layer.before), maps(&layer.after));
    match layer.op {
        Op::ConvTransposed { weight, stride, padding, crop } => {
            let weights = model.generator.parameter(weight).detach().to_device(Device::Cpu); // [C, C', k, k]
            let [from, to, rows, columns] = weights.size()[..] else { unreachable!("a kernel has four dimensions") };
            let sides = [stride as usize; 2];
            let mut geometry = Geometry::new([rows as usize, columns as usize], sides, [padding as usize; 2], [0; 2]).map_err(failed)?;
            geometry.crop.iter_mut().for_each(|sides| sides[1] += crop);
            let weights = Vec::<f32>::try_from(weights.contiguous().view([-1])).expect("weights are numbers");
            let is_last = !layers[at + 1..].iter().any(|layer| matches!(layer.op, Op::ConvTransposed { .. }));
            let colours = (is_last && to == 3).then_some([0, 1, 2]);
            let shown = [
                loudest(&before, &weights, order.channels[0]),
                varied(&after, order.channels[1].max(if colours.is_some() { 3 } else { 1 })),
            ];
            let layer = Layer { geometry, channels: [from as usize, to as usize], weights };
            Ok((Explanation { layer, input: before, title, shown, colours }, after))
        }
        // Its kernel is fixed, and every channel has it for itself: one is enough.
        Op::Enlarge { .. } => {
            let channel = varied(&after, 1)[0];
            let only = |maps: &Maps| {
                let size = maps.size[0] * maps.size[1];
                Maps { channels: 1, size: maps.size, values: maps.values[channel * size..(channel + 1) * size].to_vec() }
            };
            let kernel = network::smoothing(1, 0.25, &layer.before); // [1, 1, 4, 4]
            let weights = Vec::<f32>::try_from(kernel.reshape([-1])).expect("weights are numbers");
            let layer = Layer { geometry: Geometry::new([4; 2], [2; 2], [1; 2], [0; 2]).map_err(failed)?, channels: [1, 1], weights };
            let title = format!("channel {channel} of {title}");
            Ok((Explanation { layer, input: only(&before), title, shown: [vec![0], vec![0]], colours: None }, only(&after)))
        }
        _ => unreachable!("only layers that stamp were collected"),
    }
}

/// The input channels that add most to the output: by the size of their numbers times that of their kernels.
fn loudest(input: &Maps, weights: &[f32], most: usize) -> Vec<usize> {
    let size = |values: &[f32]| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    let (map, kernels) = (input.size[0] * input.size[1], weights.len() / input.channels);
    let mut channels: Vec<(f64, usize)> = (0..input.channels)
        .map(|channel| (size(&input.values[channel * map..][..map]) * size(&weights[channel * kernels..][..kernels]), channel))
        .collect();
    channels.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    channels.into_iter().take(most.max(1)).map(|(_, channel)| channel).collect()
}

fn write_sheet(path: &Path, sheet: &Picture) -> Result<(), Failure> {
    grid::write(path, sheet).map_err(|error| Failure::file("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    /// One number after another, each different.
    fn numbers(count: usize) -> Vec<f32> {
        rng::normals(7, rng::Purpose::Picture, 0, count)
    }

    #[test]
    fn stamping_is_what_libtorch_calls_a_transposed_convolution() {
        let check = |channels: [usize; 2],
                     input: [usize; 2],
                     kernel: [usize; 2],
                     stride: [usize; 2],
                     padding: [usize; 2],
                     output_padding: [usize; 2]| {
            let geometry = Geometry::new(kernel, stride, padding, output_padding).unwrap();
            let weights = numbers(channels[0] * channels[1] * kernel[0] * kernel[1]);
            let maps = Maps { channels: channels[0], size: input, values: numbers(channels[0] * input[0] * input[1]) };
            let as_i64 = |sides: &[usize]| sides.iter().map(|side| *side as i64).collect::<Vec<_>>();
            let x = Tensor::from_slice(&maps.values).view(&as_i64(&[1, channels[0], input[0], input[1]])[..]);
            let w = Tensor::from_slice(&weights).view(&as_i64(&[channels[0], channels[1], kernel[0], kernel[1]])[..]);
            let expected = x.conv_transpose2d(&w, None::<&Tensor>, as_i64(&stride), as_i64(&padding), as_i64(&output_padding), 1, 1);
            let made = Layer { geometry, channels, weights }.apply(&maps).unwrap();
            assert_eq!(expected.size(), as_i64(&[1, channels[1], made.size[0], made.size[1]]));
            let far = (expected.reshape([-1]) - Tensor::from_slice(&made.values)).abs().max().double_value(&[]);
            assert!(far < 1e-4, "{channels:?} {input:?} {kernel:?} {stride:?} {padding:?} {output_padding:?}: {far}");
        };
        check([1, 1], [8, 8], [5, 5], [2, 2], [2, 2], [1, 1]);
        check([3, 2], [4, 7], [4, 4], [2, 2], [1, 1], [0, 0]);
        check([2, 5], [1, 1], [4, 4], [1, 1], [0, 0], [0, 0]);
        check([2, 3], [5, 2], [2, 3], [3, 1], [0, 1], [2, 0]);
        check([1, 2], [3, 3], [1, 1], [3, 2], [0, 0], [2, 1]);
        check([4, 1], [2, 6], [6, 3], [2, 4], [3, 0], [0, 3]);
    }
}
