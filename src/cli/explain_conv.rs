//! `explain-conv`: how a transposed convolution builds a picture.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use catgen_api::{Digest, Draw};
use catgen_picture::encode_png;
use catgen_train::{
    conv::{Geometry, GeometryError, Layer, Maps},
    explain::Explanation,
};

use super::{
    Context, output,
    trained::{Asked, GeneratorArgs},
    usage,
};
use crate::{Error, Result, cache::write_whole};

/// Draw how a transposed convolution builds a picture: one input cell a frame
///
/// Each number of the input stamps the kernel onto the output, times itself; the stamps lie `stride` apart and are added up
/// where they overlap; padding takes off the rim. Everything is shown as numbers and colours, as a GIF and as a PNG with all
/// frames. Without --input and --kernel the numbers are drawn from --seed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The input: its sides (8, 4x6), or its numbers, row by row ("1 2 3; 4 5 6")
    #[arg(long, default_value = "4x4")]
    input: Matrix,
    /// The kernel: its sides, or its numbers
    #[arg(long, default_value = "3x3")]
    kernel: Matrix,
    /// How far stamps are apart: 2, or rows x columns
    #[arg(long, default_value = "2")]
    stride: Sides,
    /// Rows and columns taken off each side: 1, 1x0, or `same`, as Keras counts it: output = input x stride
    #[arg(long, default_value = "0")]
    padding: Padding,
    /// Rows and columns added at the end, less than the stride
    #[arg(long, default_value = "0")]
    output_padding: Sides,
    /// Channels in and out: 1x1, 2x3; of a trained layer, how many are shown
    #[arg(long)]
    channels: Option<Sides>,
    /// What the numbers are drawn from; for a trained layer, the picture's seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Frames a second; 2, or 10 for a trained layer
    #[arg(long, value_parser = frames_per_second)]
    fps: Option<f64>,
    /// The GIF; the PNG with all frames lies beside it
    #[arg(long, value_name = "FILE.gif", default_value = "explain-conv.gif")]
    out: PathBuf,
    /// Explain a layer of a trained generator, with its own kernels: which of its transposed convolutions, counted from 1
    #[arg(long, value_name = "N", conflicts_with_all = ["input", "kernel", "stride", "padding", "output_padding"])]
    layer: Option<usize>,
    #[command(flatten)]
    generator: GeneratorArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    if let Some(layer) = args.layer {
        return trained(args, layer, context);
    }
    if args.generator.is_given() {
        return Err(Error::Usage {
            what: "which layer of it?".to_owned(),
            hint: "--layer 1 is its first transposed convolution".to_owned(),
        });
    }
    let explanation = explanation(args).map_err(|error| usage(error.to_string()))?;
    let drawn = explanation.frames().map_err(|error| usage(error.to_string()))?;
    let sheet = args.out.with_extension("png");
    if sheet == args.out {
        return Err(usage("--out is the GIF: give it a name that ends in .gif".to_owned()));
    }
    let aside = args.out.with_extension("gif.part");
    let file = File::create(&aside).map_err(Error::io("write", &aside))?;
    let gif = drawn.write_gif(BufWriter::new(file), args.fps.unwrap_or(2.0)).and_then(|mut file| file.flush());
    gif.and_then(|()| std::fs::rename(&aside, &args.out)).map_err(Error::io("write", &args.out))?;
    write_whole(&sheet, &encode_png(&drawn.sheet()))?;
    report(context, &args.out, &sheet, drawn.frames.len(), drawn.output.size);
    Ok(())
}

/// A layer of a trained generator: the trainer knows its kernels, and what the layers before it make of the seed.
fn trained(args: &Args, layer: usize, context: &Context) -> Result<()> {
    let generator = args.generator.find(context)?;
    let [inputs, outputs] = args.channels.unwrap_or(Sides([2, 2])).0;
    let mut asked = Asked::new("explain-conv", &generator);
    asked.value("--seed", args.seed).value("--layer", layer).value("--fps", args.fps.unwrap_or(10.0));
    asked.value("--inputs", inputs).value("--outputs", outputs).path("--out", &args.out);
    asked.run_and_report(context)
}

/// Says what was drawn.
fn report(context: &Context, gif: &Path, sheet: &Path, frames: usize, [rows, columns]: [usize; 2]) {
    say!("drew {frames} frames into {}; all of them on {}; the output has {rows} x {columns} cells", gif.display(), sheet.display());
    if context.json {
        output::json(&serde_json::json!({ "gif": gif, "sheet": sheet, "frames": frames, "output": [rows, columns] }));
    }
}

fn explanation(args: &Args) -> Result<Explanation, GeometryError> {
    let (size, kernel) = (args.input.size(), args.kernel.size());
    let geometry = match args.padding {
        Padding::Same => Geometry::same(kernel, args.stride.0)?,
        Padding::Of(padding) => Geometry::new(kernel, args.stride.0, padding.0, args.output_padding.0)?,
    };
    let Sides([from, to]) = args.channels.unwrap_or(Sides([1, 1]));
    if from * to == 0 {
        return Err(GeometryError::new("there is at least one channel"));
    }
    let input = Maps { channels: from, size, values: args.input.numbers(from, args.seed, "explain input", [0, 9]) };
    let weights = args.kernel.numbers(from * to, args.seed, "explain kernel", [-2, 3]);
    let layer = Layer { geometry, channels: [from, to], weights };
    let title = "transposed convolution".to_owned();
    Ok(Explanation { layer, input, title, shown: [from, to].map(|channels| (0..channels).collect()), colours: None })
}

/// Rows and columns, or one number for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sides([usize; 2]);

impl FromStr for Sides {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.trim().parse::<usize>().ok().filter(|side| *side <= MOST);
        let sides = match text.split_once(['x', 'X', '×']) {
            Some((rows, columns)) => side(rows).zip(side(columns)),
            None => side(text).map(|both| (both, both)),
        };
        sides.map(|(rows, columns)| Self([rows, columns])).ok_or_else(|| format!("expected 2, or 4x3, each up to {MOST}"))
    }
}

/// More cannot be looked at.
const MOST: usize = 32;

/// Rows and columns to take off.
#[derive(Debug, Clone, Copy)]
enum Padding {
    Same,
    Of(Sides),
}

impl FromStr for Padding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "same" { Ok(Self::Same) } else { text.parse().map(Self::Of).map_err(|what: String| format!("{what}, or same")) }
    }
}

/// Numbers, or only how many there are.
#[derive(Debug, Clone, PartialEq)]
enum Matrix {
    Sized(Sides),
    Given([usize; 2], Vec<f32>),
}

impl FromStr for Matrix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_matrix = text.contains([';', ',', ' ', '.', '-']) || text.trim().is_empty();
        if !is_matrix {
            let sides: Sides = text.parse()?;
            return if sides.0.contains(&0) { Err("a side is at least 1".to_owned()) } else { Ok(Self::Sized(sides)) };
        }
        let number = |word: &str| word.parse::<f32>().ok().filter(|number| number.is_finite()).ok_or(format!("{word:?} is no number"));
        let row = |line: &str| line.split([',', ' ']).filter(|word| !word.is_empty()).map(number).collect::<Result<Vec<_>, _>>();
        let rows: Vec<Vec<f32>> = text.split(';').map(row).collect::<Result<_, _>>()?;
        let columns = rows[0].len();
        if columns == 0 || rows.iter().any(|row| row.len() != columns) {
            return Err("every row needs the same number of numbers: \"1 2 3; 4 5 6\"".to_owned());
        }
        if rows.len() > MOST || columns > MOST {
            return Err(format!("more than {MOST} rows or columns cannot be shown"));
        }
        Ok(Self::Given([rows.len(), columns], rows.concat()))
    }
}

impl Matrix {
    fn size(&self) -> [usize; 2] {
        match self {
            Self::Sized(Sides(size)) | Self::Given(size, _) => *size,
        }
    }

    /// The numbers of so many channels: the given ones for each, or whole numbers between two limits, drawn.
    fn numbers(&self, channels: usize, seed: u64, purpose: &'static str, [low, high]: [i64; 2]) -> Vec<f32> {
        match self {
            Self::Given(_, numbers) => numbers.repeat(channels),
            Self::Sized(Sides([rows, columns])) => {
                let mut draw = Draw::new(seed, purpose, &Digest::of(b""), 0);
                (0..channels * rows * columns).map(|_| (low + draw.below((high - low + 1) as u64) as i64) as f32).collect()
            }
        }
    }
}

fn frames_per_second(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|fps| (0.1..=50.0).contains(fps)).ok_or_else(|| "expected a number from 0.1 to 50".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_told_apart() {
        let check = |text: &str, expected: Result<Matrix, &str>| {
            assert_eq!(text.parse::<Matrix>(), expected.map_err(str::to_owned), "{text:?}");
        };
        check("5", Ok(Matrix::Sized(Sides([5, 5]))));
        check("4x6", Ok(Matrix::Sized(Sides([4, 6]))));
        check("1 2 3; 4 5 6", Ok(Matrix::Given([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])));
        check("1,-2", Ok(Matrix::Given([1, 2], vec![1.0, -2.0])));
        check("1 2; 3", Err("every row needs the same number of numbers: \"1 2 3; 4 5 6\""));
        check("1 b", Err("\"b\" is no number"));
        check("0x3", Err("a side is at least 1"));
        check("99", Err("expected 2, or 4x3, each up to 32"));
        assert!("".parse::<Matrix>().is_err());
        assert!(matches!("same".parse(), Ok(Padding::Same)));
        assert!(matches!("1x0".parse(), Ok(Padding::Of(Sides([1, 0])))));
        assert!("samme".parse::<Padding>().is_err());
    }
}
