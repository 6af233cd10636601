//! Transposed convolution, one input cell at a time: what [`explain`](crate::explain) draws.
//!
//! A transposed convolution stamps its kernel onto a canvas once for every cell of its input, `stride` apart, each stamp times
//! the cell's number, and adds up where stamps overlap. Padding then takes off the canvas's rim. Written like that, and
//! not as a matrix product, because that is what is to be seen; a test compares it with libtorch's `conv_transpose2d`.

use std::fmt;

/// Numbers in channels, rows and columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Maps {
    /// How many channels.
    pub channels: usize,
    /// Rows and columns of each.
    pub size: [usize; 2],
    /// The numbers: channel by channel, row by row.
    pub values: Vec<f32>,
}

impl Maps {
    /// All zero.
    pub fn zeros(channels: usize, size: [usize; 2]) -> Self {
        Self { channels, size, values: vec![0.0; channels * size[0] * size[1]] }
    }

    /// Where a number lies in `values`.
    fn at(&self, channel: usize, [row, column]: [usize; 2]) -> usize {
        (channel * self.size[0] + row) * self.size[1] + column
    }

    /// One number.
    pub fn get(&self, channel: usize, cell: [usize; 2]) -> f32 {
        self.values[self.at(channel, cell)]
    }

    /// The largest magnitude in some channels.
    pub fn magnitude(&self, channels: &[usize]) -> f32 {
        let of = |channel: &usize| &self.values[self.at(*channel, [0, 0])..self.at(*channel + 1, [0, 0])];
        channels.iter().flat_map(of).fold(0.0, |most, value| most.max(value.abs()))
    }
}

/// Sizes of a transposed convolution: each is rows, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// The kernel's sides.
    pub kernel: [usize; 2],
    /// How far the stamps of neighbouring cells are apart.
    pub stride: [usize; 2],
    /// What is taken off the canvas before its first and after its last row and column; negative where zeros are added.
    pub crop: [[i64; 2]; 2],
}

/// Sizes that make no layer: a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GeometryError(String);

impl GeometryError {
    /// Sizes that somebody else found of no use.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl Geometry {
    /// As PyTorch's `ConvTranspose2d` counts: output = (input − 1) · stride − 2 · padding + kernel + output_padding.
    ///
    /// # Errors
    /// A kernel or stride of 0, or an `output_padding` that is not below the stride, which PyTorch refuses, too.
    pub fn new(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2], output_padding: [usize; 2]) -> Result<Self, GeometryError> {
        let refuse = |what: &str| Err(GeometryError(what.to_owned()));
        if kernel.contains(&0) || stride.contains(&0) {
            return refuse("kernel and stride are at least 1");
        }
        if (0..2).any(|axis| output_padding[axis] >= stride[axis]) {
            return refuse("output padding has to be less than the stride: it chooses among the sizes that lead to one input");
        }
        let crop = std::array::from_fn(|axis| [padding[axis] as i64, padding[axis] as i64 - output_padding[axis] as i64]);
        Ok(Self { kernel, stride, crop })
    }

    /// As Keras's `Conv2DTranspose(padding="same")` counts: output = input · stride; where an odd number of rows has to go,
    /// one more goes at the end.
    ///
    /// # Errors
    /// As [`Geometry::new`].
    pub fn same(kernel: [usize; 2], stride: [usize; 2]) -> Result<Self, GeometryError> {
        let plain = Self::new(kernel, stride, [0, 0], [0, 0])?;
        let crop = std::array::from_fn(|axis| {
            let all = kernel[axis] as i64 - stride[axis] as i64;
            let before = all.max(0) / 2;
            [before, all - before]
        });
        Ok(Self { crop, ..plain })
    }

    /// The sides of the canvas that the stamps cover.
    pub fn canvas(&self, input: [usize; 2]) -> [usize; 2] {
        std::array::from_fn(|axis| (input[axis] - 1) * self.stride[axis] + self.kernel[axis])
    }

    /// The sides of the output.
    ///
    /// # Errors
    /// Nothing is left of the canvas.
    pub fn output(&self, input: [usize; 2]) -> Result<[usize; 2], GeometryError> {
        let canvas = self.canvas(input);
        let sides: [i64; 2] = std::array::from_fn(|axis| canvas[axis] as i64 - self.crop[axis][0] - self.crop[axis][1]);
        if sides.iter().any(|side| *side < 1) {
            return Err(GeometryError(format!("the padding takes everything away: the stamps cover only {} x {}", canvas[0], canvas[1])));
        }
        Ok(sides.map(|side| side as usize))
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One word where both axes agree, else rows x columns.
        let pair = |words: [String; 2]| if words[0] == words[1] { words[0].clone() } else { words.join("x") };
        write!(out, "kernel {}x{}, stride {}", self.kernel[0], self.kernel[1], pair(self.stride.map(|side| side.to_string())))?;
        let padding = |[before, after]: [i64; 2]| if after > before { format!("{before}+{after}") } else { before.to_string() };
        write!(out, ", padding {}", pair(self.crop.map(padding)))?;
        let added = self.crop.map(|[before, after]| (before - after).max(0));
        if added == [0, 0] { Ok(()) } else { write!(out, ", output padding {}", pair(added.map(|rows| rows.to_string()))) }
    }
}

/// A transposed convolution with its kernels.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its sizes.
    pub geometry: Geometry,
    /// Channels in and out.
    pub channels: [usize; 2],
    /// The kernels, as PyTorch stores them: input channel, output channel, row, column.
    pub weights: Vec<f32>,
}

impl Layer {
    /// One number of one kernel.
    pub fn weight(&self, [from, to]: [usize; 2], [row, column]: [usize; 2]) -> f32 {
        let [rows, columns] = self.geometry.kernel;
        self.weights[((from * self.channels[1] + to) * rows + row) * columns + column]
    }

    /// What the stamps are added up on.
    pub fn canvas(&self, input: &Maps) -> Maps {
        Maps::zeros(self.channels[1], self.geometry.canvas(input.size))
    }

    /// Adds the stamp of one cell, of all input channels, to the given output channels of a canvas.
    pub fn stamp(&self, input: &Maps, cell: [usize; 2], outputs: &[usize], canvas: &mut Maps) {
        let Geometry { kernel, stride, .. } = self.geometry;
        for from in 0..self.channels[0] {
            let number = input.get(from, cell);
            if number == 0.0 {
                continue;
            }
            for &to in outputs {
                for row in 0..kernel[0] {
                    let begin = canvas.at(to, [cell[0] * stride[0] + row, cell[1] * stride[1]]);
                    let weights = ((from * self.channels[1] + to) * kernel[0] + row) * kernel[1];
                    let line = canvas.values[begin..begin + kernel[1]].iter_mut();
                    line.zip(&self.weights[weights..weights + kernel[1]]).for_each(|(sum, weight)| *sum += number * weight);
                }
            }
        }
    }

    /// What padding leaves of a canvas.
    ///
    /// # Errors
    /// Nothing.
    pub fn crop(&self, canvas: &Maps, input: [usize; 2]) -> Result<Maps, GeometryError> {
        let size = self.geometry.output(input)?;
        let mut output = Maps::zeros(canvas.channels, size);
        for channel in 0..canvas.channels {
            for row in 0..size[0] {
                for column in 0..size[1] {
                    let [y, x] = [row as i64 + self.geometry.crop[0][0], column as i64 + self.geometry.crop[1][0]];
                    if (0..canvas.size[0] as i64).contains(&y) && (0..canvas.size[1] as i64).contains(&x) {
                        let place = output.at(channel, [row, column]);
                        output.values[place] = canvas.get(channel, [y as usize, x as usize]);
                    }
                }
            }
        }
        Ok(output)
    }

    /// The whole layer at once.
    ///
    /// # Errors
    /// Nothing is left after padding.
    pub fn apply(&self, input: &Maps) -> Result<Maps, GeometryError> {
        let mut canvas = self.canvas(input);
        let outputs: Vec<usize> = (0..self.channels[1]).collect();
        for row in 0..input.size[0] {
            for column in 0..input.size[1] {
                self.stamp(input, [row, column], &outputs, &mut canvas);
            }
        }
        self.crop(&canvas, input.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_pytorch_and_keras() {
        let check = |geometry: Geometry, input, expected| assert_eq!(geometry.output(input), Ok(expected), "{geometry}");
        check(Geometry::new([4, 4], [2, 2], [1, 1], [0, 0]).unwrap(), [32, 32], [64, 64]);
        check(Geometry::new([4, 4], [1, 1], [0, 0], [0, 0]).unwrap(), [1, 1], [4, 4]);
        check(Geometry::new([5, 3], [2, 3], [2, 0], [1, 2]).unwrap(), [8, 5], [16, 17]);
        check(Geometry::new([1, 1], [3, 2], [0, 0], [2, 1]).unwrap(), [2, 2], [6, 4]);
        check(Geometry::same([5, 5], [2, 2]).unwrap(), [8, 6], [16, 12]);
        check(Geometry::same([5, 5], [1, 1]).unwrap(), [8, 8], [8, 8]);
        check(Geometry::same([2, 3], [3, 4]).unwrap(), [2, 2], [6, 8]);
        assert!(Geometry::new([3, 3], [2, 2], [0, 0], [2, 0]).is_err());
        assert!(Geometry::new([0, 3], [2, 2], [0, 0], [0, 0]).is_err());
        assert!(Geometry::new([3, 3], [1, 1], [2, 2], [0, 0]).unwrap().output([1, 1]).is_err());
        let words = |geometry: Geometry| geometry.to_string();
        assert_eq!(words(Geometry::same([5, 5], [2, 2]).unwrap()), "kernel 5x5, stride 2, padding 1+2");
        let uneven = Geometry::new([4, 3], [2, 1], [1, 0], [1, 0]).unwrap();
        assert_eq!(words(uneven), "kernel 4x3, stride 2x1, padding 1x0, output padding 1x0");
    }

    #[test]
    fn stamps_overlap_and_are_cropped() {
        // One row, by hand: 1·(1 2 3) and 10·(1 2 3) one column further, the first column taken off.
        let geometry = Geometry { kernel: [1, 3], stride: [1, 1], crop: [[0, 0], [1, 0]] };
        let layer = Layer { geometry, channels: [1, 1], weights: vec![1.0, 2.0, 3.0] };
        let input = Maps { channels: 1, size: [1, 2], values: vec![1.0, 10.0] };
        assert_eq!(layer.apply(&input).unwrap().values, [12.0, 23.0, 30.0]);
        // Two channels in, two out: every kernel in its place.
        let geometry = Geometry::new([1, 1], [1, 1], [0, 0], [0, 0]).unwrap();
        let layer = Layer { geometry, channels: [2, 2], weights: vec![1.0, 10.0, 100.0, 1000.0] };
        let input = Maps { channels: 2, size: [1, 1], values: vec![2.0, 3.0] };
        assert_eq!(layer.apply(&input).unwrap().values, [302.0, 3020.0]);
        assert_eq!(layer.weight([1, 0], [0, 0]), 100.0);
        assert_eq!(input.magnitude(&[0]), 2.0);
    }
}
