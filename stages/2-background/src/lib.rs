//! The stage `background`: the subject cut out, as soft alpha.
//!
//! A U-2-Net finds what stands out in the photo (Qin et al. 2020, "U²-Net: Going deeper with nested U-structure for salient
//! object detection") and its mask becomes the alpha channel. `model = "border"` needs no model file: it takes for background
//! whatever has the colours of the frame's edge.
//!
//! rembg leaves it at that. Here [steps](STEPS) follow, each of which was kept because it made masks or edges better on photos with masks
//! drawn by hand (`examples/evaluate_background.rs` measures them one by one); `steps = []` gives what rembg gives.
//!
//! What it refuses to do: it never drops a photo, lays nothing under the subject (stage `resize` does that), and does not
//! touch a picture that was already cut out: whoever did that knew better than a network.

mod border;
mod colour;
mod guided;
mod model;
mod planes;
mod runtime;
mod second;
mod shape;
mod u2net;

use std::borrow::Cow;

use catgen_api::{
    BuildContext, Facts, Input, ItemStage, KeyInput, Kind, Made, Output, Param, ParamKind, Params, Picture, Shape, StageError, Verdict,
};
use catgen_picture::{Filter, GrayImage, Rgb, RgbImage, Rgba, RgbaImage, resize};
use serde::Deserialize;
use serde_json::json;

use crate::u2net::{Asked, Network};

/// From this share of transparent pixels on, a picture was cut out by somebody and is left as it is.
const CUT_OUT_FROM: f64 = 0.01;

/// Alpha this near to nothing, or to everything, becomes just that: networks leave a haze of 1 to 5 over the whole background,
/// which nobody sees and which triples the size of the PNG.
const HAZE: u8 = 8;

/// What is done to a mask before it becomes alpha, in this order whatever the order in `pipeline.toml`:
///
/// * `second_look`: where a first answer is likely to be wrong, the network is asked again about the photo with room around it, or
///   about a crop;
/// * `islands`: what is small or faint beside the subject goes;
/// * `holes`: eyes and other small holes are filled;
/// * `edge`: the outline follows the photo's (guided filter);
/// * `colour`: where the subject is half transparent it gets its own colours back, without the background's.
pub const STEPS: &[&str] = &["second_look", "islands", "holes", "edge", "colour"];

/// The picture with `mask` as its alpha channel; both of the same size.
///
/// An alpha channel that the picture already has is multiplied in. Colours under alpha 0 are set to black: they cannot be
/// seen, nothing later looks at them, and flat colour packs well.
fn cut_out(picture: &Picture, mask: &GrayImage) -> RgbaImage {
    let mut image = picture.to_rgba().into_owned();
    for (pixel, mask) in image.pixels_mut().zip(mask.iter()) {
        let mask = match *mask {
            faint if faint < HAZE => 0,
            dense if dense > 255 - HAZE => 255,
            mask => mask,
        };
        let alpha = ((u32::from(pixel[3]) * u32::from(mask) + 127) / 255) as u8;
        *pixel = if alpha == 0 { Rgba([0; 4]) } else { Rgba([pixel[0], pixel[1], pixel[2], alpha]) };
    }
    image
}

/// `mask`, made for a smaller copy of a picture, at the picture's size.
fn enlarged(mask: &GrayImage, [width, height]: [u32; 2]) -> GrayImage {
    let grey = RgbImage::from_fn(mask.width(), mask.height(), |x, y| Rgb([mask.get_pixel(x, y)[0]; 3]));
    let Picture::Rgb(grey) = resize(&grey.into(), width, height, Filter::Lanczos) else {
        unreachable!("resizing keeps the kind of picture")
    };
    GrayImage::from_fn(width, height, |x, y| [grey.get_pixel(x, y)[0]].into())
}

/// The picture with a longest side of at most `max_side` pixels; 0 means any.
fn fit_within(picture: &Picture, max_side: u32) -> Cow<'_, Picture> {
    let [width, height] = picture.size();
    let longest = width.max(height);
    if max_side == 0 || longest <= max_side {
        return Cow::Borrowed(picture);
    }
    let scale = f64::from(max_side) / f64::from(longest);
    let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    Cow::Owned(resize(picture, scaled(width), scaled(height), Filter::Lanczos))
}

/// The mean of the alpha channel, 0 to 1.
fn mean_alpha(image: &RgbaImage) -> f64 {
    let sum: u64 = image.pixels().map(|pixel| u64::from(pixel[3])).sum();
    sum as f64 / (255.0 * image.pixels().len().max(1) as f64)
}

/// Whether enough of the picture is transparent to say that somebody cut it out.
fn is_cut_out(picture: &Picture) -> bool {
    picture.alpha().is_some_and(|alpha| alpha.iter().filter(|alpha| **alpha < 128).count() as f64 >= CUT_OUT_FROM * alpha.len() as f64)
}

/// What the registry knows of `background`.
pub const KIND: Kind = Kind {
    name: "background",
    version: 3,
    shape: Shape::Item,
    random: false,
    summary: "cut the subject out with a U-2-Net, or by the border's colours; the result is soft alpha",
    params: &[
        Param {
            name: "model",
            kind: ParamKind::Text("u2netp"),
            doc: "a model's name, the path of an ONNX file of the U-2-Net family, or \"border\", which needs no file",
        },
        Param {
            name: "steps",
            kind: ParamKind::Words { default: STEPS, of: STEPS },
            doc: "what is done to a mask: look twice where needed, drop islands, fill holes, follow edges, clean edge colours; [] is rembg's result",
        },
        Param {
            name: "max_side",
            kind: ParamKind::Whole { default: 1024, min: 0, max: 16384 },
            doc: "longest side of what goes on, in pixels; 0 keeps the photo's size",
        },
        Param {
            name: "runtime",
            kind: ParamKind::Choice { default: "auto", of: &["auto", "ort", "rten"] },
            doc: "what runs the model: onnxruntime (ort), the built-in rten, or onnxruntime where it is found",
        },
        Param {
            name: "device",
            kind: ParamKind::Choice { default: "cpu", of: &["cpu", "cuda"] },
            doc: "where the model runs; cuda needs the library of onnxruntime-gpu and an NVIDIA GPU",
        },
        Param {
            name: "input_side",
            kind: ParamKind::Whole { default: 0, min: 0, max: 4096 },
            doc: "the model's input is a square of so many pixels; 0: as it is known to be or as its file says",
        },
        Param {
            name: "normalise",
            kind: ParamKind::Choice { default: "auto", of: &["auto", "imagenet", "isnet"] },
            doc: "what the model takes: ImageNet's mean and deviation, the mean alone as IS-Nets do, or as the file is known to want",
        },
    ],
};

#[derive(Deserialize)]
struct Options {
    model: String,
    steps: Vec<String>,
    max_side: u32,
    runtime: String,
    device: String,
    input_side: u32,
    normalise: String,
}

/// What finds the subject.
enum Finder {
    Network(Box<Network>),
    Border,
}

/// The stage.
struct Background {
    max_side: u32,
    steps: Vec<String>,
    finder: Finder,
}

/// The stage with these parameters. Looks for the model file and hashes it, but does not load it.
///
/// # Errors
/// A model file or an onnxruntime that is asked for and not there.
pub fn build(params: &Params, context: &BuildContext) -> Result<Box<dyn ItemStage>, StageError> {
    Ok(Box::new(Background::new(params, context)?))
}

/// What each step makes of a picture, for evaluations: the network is asked once for all of them.
pub struct StepByStep(Background);

impl StepByStep {
    /// As [`build`], whatever `steps` the parameters name.
    ///
    /// # Errors
    /// As [`build`].
    pub fn new(params: &Params, context: &BuildContext) -> Result<Self, StageError> {
        Background::new(params, context).map(Self)
    }

    /// The picture cut out without steps, with the first of [`STEPS`], with the first two, and so on: one more than there are steps.
    ///
    /// # Errors
    /// The network's.
    pub fn cut(&self, picture: &Picture) -> Result<Vec<RgbaImage>, StageError> {
        let opaque = picture.over(Rgb([255; 3]));
        let [first, second] = match &self.0.finder {
            Finder::Network(network) => network.masks(&opaque)?,
            Finder::Border => [(); 2].map(|()| border::mask(&opaque)),
        };
        let masks = std::iter::once(first).chain(std::iter::repeat(second));
        Ok(masks.zip(0..=STEPS.len()).map(|(mask, many)| finished(picture, &opaque, mask, |step| STEPS[..many].contains(&step))).collect())
    }
}

/// The picture cut out by `mask`, after the steps that come after finding it.
fn finished(picture: &Picture, opaque: &RgbImage, mut mask: GrayImage, does: impl Fn(&str) -> bool) -> RgbaImage {
    if does("islands") {
        mask = shape::without_islands(mask);
    }
    if does("holes") {
        mask = shape::without_holes(mask);
    }
    let mask = if does("edge") { guided::refined(&mask, opaque) } else { enlarged(&mask, picture.size()) };
    let image = cut_out(picture, &mask);
    if does("colour") { colour::cleaned(image, opaque) } else { image }
}

impl Background {
    fn new(params: &Params, context: &BuildContext) -> Result<Self, StageError> {
        let options: Options = params.read();
        let finder = match options.model.as_str() {
            model::BORDER => Finder::Border,
            model => {
                let asked = Asked {
                    side: (options.input_side > 0).then_some(options.input_side),
                    normal: match options.normalise.as_str() {
                        "imagenet" => Some(model::IMAGENET),
                        "isnet" => Some(model::CENTRED),
                        _ => None,
                    },
                };
                let chosen = runtime::choose(&options.runtime, &options.device, context)?;
                Finder::Network(Box::new(Network::new(model::find(model, context)?, chosen, asked)))
            }
        };
        Ok(Self { max_side: options.max_side, steps: options.steps, finder })
    }

    fn does(&self, step: &str) -> bool {
        self.steps.iter().any(|other| other == step)
    }

    /// The picture with what is not subject taken away, and what found the subject.
    ///
    /// # Errors
    /// The network's.
    fn cut(&self, picture: &Picture) -> Result<(RgbaImage, &str), StageError> {
        // Whatever transparency there is, is a rounded corner or two: white is what people expect to see there.
        let opaque = picture.over(Rgb([255; 3]));
        let (mask, model) = match &self.finder {
            Finder::Network(network) => (network.mask(&opaque, self.does("second_look"))?, network.name()),
            Finder::Border => (border::mask(&opaque), model::BORDER),
        };
        Ok((finished(picture, &opaque, mask, |step| self.does(step)), model))
    }
}

impl ItemStage for Background {
    fn key_inputs(&self) -> Vec<KeyInput> {
        let Finder::Network(network) = &self.finder else { return Vec::new() };
        vec![
            KeyInput { name: "model".to_owned(), value: network.digest().to_string() },
            // The two runtimes agree to the sixth digit, which is not to the last bit of every mask.
            KeyInput { name: "runtime".to_owned(), value: network.runtime().to_owned() },
        ]
    }

    fn working_side(&self) -> Option<u32> {
        (self.max_side > 0).then_some(self.max_side)
    }

    fn apply(&self, input: &Input<'_>) -> Result<Verdict, StageError> {
        let picture = fit_within(input.picture, self.max_side);
        let (image, model) = if is_cut_out(&picture) { (picture.to_rgba().into_owned(), "none") } else { self.cut(&picture)? };
        let mut facts = Facts::new();
        facts.insert("subject_share".to_owned(), json!((mean_alpha(&image) * 1e4).round() / 1e4));
        facts.insert("model".to_owned(), json!(model));
        Ok(Verdict::Keep(vec![Output { tag: String::new(), made: Made::Picture(image.into()), facts }]))
    }
}

#[cfg(test)]
mod tests;
