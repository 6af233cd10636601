//! Drawings of how a transposed convolution builds its output: one input cell a frame, as a GIF and as a sheet.
//!
//! From left to right a frame shows the input with the cell that is being used, the kernels, and the canvas with everything
//! that was added so far; the part of the canvas that padding takes away is dimmed. Whole numbers are written out, others
//! are colours.

use std::io::Write;

use catgen_picture::{Filter, Picture, RgbImage, resize};

use crate::{
    canvas::{Canvas, Colour, FAINT, INK, Letters, MARK, diverging, ink_on},
    conv::{GeometryError, Layer, Maps},
    gif::Animation,
};

/// More frames than that are too many to look at: then several cells are added at once.
const MOST_FRAMES: usize = 96;
/// Frames on the sheet.
const MOST_ON_SHEET: usize = 72;
/// The sheet's sides stay below this, in pixels.
const MOST_SHEET: u32 = 8000;
/// Around everything.
const MARGIN: u32 = 12;
/// Between two maps.
const GAP: u32 = 10;
/// The text above and below.
const TITLE: u32 = 26;
const CAPTION: u32 = 38;

/// What is to be drawn.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The layer.
    pub layer: Layer,
    /// What it is given.
    pub input: Maps,
    /// What it is called, for the title.
    pub title: String,
    /// The channels that are shown; all of the input's are added up, whichever are shown.
    pub shown: [Vec<usize>; 2],
    /// Three output channels that are colours once tanh has been taken of them: shown as a picture, too.
    pub colours: Option<[usize; 3]>,
}

/// The frames of an explanation.
#[derive(Debug)]
pub struct Frames {
    /// Nothing added, then one frame for each cell or some cells, then the result.
    pub frames: Vec<RgbImage>,
    /// The layer's output: all shown channels, others zero.
    pub output: Maps,
}

/// Sides and scales that all frames share.
struct Look {
    /// Pixels of a cell of input, kernel and canvas.
    cell: [u32; 3],
    /// The letters of numbers, of input, kernel and canvas; none where there are no numbers.
    letters: [Option<Letters>; 3],
    /// The value that is fully red, of input, kernel and canvas.
    full: [f32; 3],
    /// Left edges of input, kernel, canvas and picture.
    left: [u32; 4],
    size: [u32; 2],
    /// The canvas, and what padding adds to it, in cells: first row and column, and how many.
    field: [[i64; 2]; 2],
}

impl Explanation {
    /// Draws every frame.
    ///
    /// # Errors
    /// The layer's padding leaves nothing.
    pub fn frames(&self) -> Result<Frames, GeometryError> {
        let [rows, columns] = self.input.size;
        let size = self.layer.geometry.output(self.input.size)?;
        let cells: Vec<[usize; 2]> = (0..rows).flat_map(|row| (0..columns).map(move |column| [row, column])).collect();
        let together = cells.len().div_ceil(MOST_FRAMES);
        let mut canvas = self.layer.canvas(&self.input);
        let outputs = self.summed();
        let whole = {
            let mut whole = canvas.clone();
            cells.iter().for_each(|cell| self.layer.stamp(&self.input, *cell, &outputs, &mut whole));
            whole
        };
        let look = self.look(&whole);

        let count = |channels: usize| format!("{channels} {}", if channels == 1 { "channel" } else { "channels" });
        let [from, to] = self.layer.channels.map(count);
        let begin = format!("{rows}x{columns}, {from} in: nothing is added yet");
        let mut frames = vec![self.frame(&look, &canvas, &[], &[begin, self.hidden()])];
        for cells in cells.chunks(together) {
            cells.iter().for_each(|cell| self.layer.stamp(&self.input, *cell, &outputs, &mut canvas));
            frames.push(self.frame(&look, &canvas, cells, &[self.words(cells), self.hidden()]));
        }
        let [top, left] = self.layer.geometry.crop.map(|[before, after]| before.max(0) + after.max(0));
        let end = if top + left > 0 { "the dimmed rim is taken off by the padding" } else { "nothing is taken off" };
        let end = format!("done: {}x{}, {to}; {end}", size[0], size[1]);
        frames.push(self.frame(&look, &canvas, &[], &[end, self.hidden()]));
        Ok(Frames { frames, output: self.layer.crop(&canvas, self.input.size)? })
    }

    /// The output channels that are computed.
    fn summed(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.shown[1].iter().copied().chain(self.colours.into_iter().flatten()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn look(&self, whole: &Maps) -> Look {
        let (layer, input) = (&self.layer, &self.input);
        let [shown_in, shown_out] = &self.shown;
        let kernels = shown_in.iter().flat_map(|from| shown_out.iter().map(move |to| [*from, *to]));
        let [kernel_rows, kernel_columns] = layer.geometry.kernel;
        let weights: Vec<f32> = kernels
            .flat_map(|pair| (0..kernel_rows).flat_map(move |row| (0..kernel_columns).map(move |column| (pair, [row, column]))))
            .map(|(pair, cell)| layer.weight(pair, cell))
            .collect();
        let full =
            [input.magnitude(shown_in), weights.iter().fold(0.0f32, |most, weight| most.max(weight.abs())), whole.magnitude(shown_out)];
        let is_whole = |value: &f32| value.fract() == 0.0 && value.abs() < 10_000.0;
        let digits = input.values.iter().chain(&weights).chain(&whole.values).all(is_whole);
        let longest = |values: &[f32]| values.iter().map(|value| format!("{value}").len()).max().unwrap_or(1);

        let canvas = layer.geometry.canvas(input.size);
        // Rows and columns of zeros that a negative crop adds belong to what is shown.
        let field: [[i64; 2]; 2] = std::array::from_fn(|axis| {
            let [before, after] = layer.geometry.crop[axis];
            [before.min(0), canvas[axis] as i64 - before.min(0) - after.min(0)]
        });
        let across = |room: u32, cells: usize| (room / cells as u32).clamp(3, 40);
        let [ins, outs] = [shown_in.len(), shown_out.len()];
        let by_output = across(560, (field[0][1].max(field[1][1]) as usize) * outs.min(2));
        let by_input = across(340, input.size[0].max(input.size[1]) * ins.min(2));
        let kernel = across(300, kernel_rows.max(kernel_columns) * ins.max(outs)).min(32);
        // Numbers of up to four letters want room.
        let cell = if digits { [by_input.max(18), kernel.max(18), by_output.max(22)] } else { [by_input, kernel, by_output] };

        // One size for all numbers of a map; results on the way can have a sign more than the last ones.
        let lengths = [longest(&input.values), longest(&weights), longest(&whole.values).max(3)];
        let numbers = std::array::from_fn(|at| Letters::fitting(lengths[at], cell[at] - 2, cell[at] - 2).filter(|_| digits));
        let letters = Letters::PLAIN.size()[1] + 4;
        let stacked = |maps: usize, rows: i64, cell: u32| maps as u32 * (rows as u32 * cell + GAP + letters);
        let height = stacked(ins, input.size[0] as i64, cell[0])
            .max(ins as u32 * (kernel_rows as u32 * cell[1] + GAP) + letters)
            .max(stacked(outs, field[0][1], cell[2]));
        let widths = [
            input.size[1] as u32 * cell[0],
            outs as u32 * (kernel_columns as u32 * cell[1] + GAP),
            field[1][1] as u32 * cell[2],
            if self.colours.is_some() { field[1][1] as u32 * picture_cell(field) } else { 0 },
        ];
        let mut left = [MARGIN; 4];
        for at in 1..4 {
            left[at] = left[at - 1] + widths[at - 1].max(Letters::PLAIN.width("result, 100 of 1000")) + 3 * GAP;
        }
        let height = height.max(if self.colours.is_some() { letters + field[0][1] as u32 * picture_cell(field) } else { 0 });
        let right = if self.colours.is_some() { left[3] + widths[3] } else { left[2] + widths[2] };
        let title = Letters::TITLE.width(&self.heading()) + MARGIN;
        Look { cell, letters: numbers, full, left, size: [right.max(title) + MARGIN, MARGIN + TITLE + height + CAPTION], field }
    }

    fn heading(&self) -> String {
        let ([from, to], [rows, columns]) = (self.layer.channels, self.input.size);
        let output = self.layer.geometry.output(self.input.size).unwrap_or_default();
        format!("{}: {}, {from}x{rows}x{columns} -> {to}x{}x{}", self.title, self.layer.geometry, output[0], output[1])
    }

    /// What is not shown.
    fn hidden(&self) -> String {
        let part = |at: usize| self.shown[at].len() < self.layer.channels[at];
        match (part(0), part(1)) {
            (true, _) => format!(
                "{} of {} input channels are shown; the result adds up all {}",
                self.shown[0].len(),
                self.layer.channels[0],
                self.layer.channels[0]
            ),
            (false, true) => format!("{} of {} output channels are shown", self.shown[1].len(), self.layer.channels[1]),
            (false, false) => String::new(),
        }
    }

    fn words(&self, cells: &[[usize; 2]]) -> String {
        let [row, column] = cells[0];
        if let [_, .., last] = cells {
            return format!("cells ({row}, {column}) to ({}, {}): {} kernels are added", last[0], last[1], cells.len());
        }
        let geometry = &self.layer.geometry;
        let [top, left] = [row * geometry.stride[0], column * geometry.stride[1]];
        let [down, right] = [top + geometry.kernel[0] - 1, left + geometry.kernel[1] - 1];
        let number = self.input.get(self.shown[0][0], [row, column]);
        let number = match (self.layer.channels[0], number.fract() == 0.0) {
            (1, true) => format!("{number} times the kernel"),
            (1, false) => format!("{number:.2} times the kernel"),
            _ => "its numbers times their kernels".to_owned(),
        };
        format!("cell ({row}, {column}): {number}, added to rows {top}-{down} and columns {left}-{right}, counted with the rim")
    }

    fn frame(&self, look: &Look, canvas: &Maps, cells: &[[usize; 2]], captions: &[String; 2]) -> RgbImage {
        let mut picture = Canvas::new(look.size[0], look.size[1]);
        picture.text([MARGIN, MARGIN], &self.heading(), Letters::TITLE, INK);
        let top = MARGIN + TITLE;
        let letters = Letters::PLAIN.size()[1] + 4;
        let [shown_in, shown_out] = &self.shown;
        let geometry = &self.layer.geometry;
        let label = |what: &str, channel: usize, of: usize| if of == 1 { what.to_owned() } else { format!("{what} {channel} of {of}") };

        // The input, with the cells that are being added.
        let mut y = top;
        for &channel in shown_in {
            picture.text([look.left[0], y], &label("input", channel, self.layer.channels[0]), Letters::PLAIN, INK);
            y += letters;
            let [rows, columns] = self.input.size;
            for row in 0..rows {
                for column in 0..columns {
                    let place = [look.left[0] + column as u32 * look.cell[0], y + row as u32 * look.cell[0]];
                    self.cell(&mut picture, look, 0, place, self.input.get(channel, [row, column]), false);
                }
            }
            for [row, column] in cells {
                let place = [look.left[0] + *column as u32 * look.cell[0], y + *row as u32 * look.cell[0]];
                picture.frame(place, [look.cell[0]; 2], (look.cell[0] / 8).clamp(1, 3), MARK);
            }
            y += rows as u32 * look.cell[0] + GAP;
        }

        // The kernels: a row for each input channel, a column for each output channel.
        let [rows, columns] = geometry.kernel;
        let kernels = if self.layer.channels == [1, 1] { "kernel" } else { "kernels: in x out" };
        picture.text([look.left[1], top], kernels, Letters::PLAIN, INK);
        for (down, &from) in shown_in.iter().enumerate() {
            for (across, &to) in shown_out.iter().enumerate() {
                let x = look.left[1] + across as u32 * (columns as u32 * look.cell[1] + GAP);
                let y = top + letters + down as u32 * (rows as u32 * look.cell[1] + GAP);
                for row in 0..rows {
                    for column in 0..columns {
                        let place = [x + column as u32 * look.cell[1], y + row as u32 * look.cell[1]];
                        self.cell(&mut picture, look, 1, place, self.layer.weight([from, to], [row, column]), false);
                    }
                }
            }
        }

        // The canvas: what was added so far.
        let [[first_row, field_rows], [first_column, field_columns]] = look.field;
        let stays = |[row, column]: [i64; 2]| {
            let inside = |axis: usize, at: i64| {
                let [before, after] = geometry.crop[axis];
                at >= before && at < canvas.size[axis] as i64 - after
            };
            inside(0, row) && inside(1, column)
        };
        let mut y = top;
        for &channel in shown_out {
            picture.text([look.left[2], y], &label("result", channel, self.layer.channels[1]), Letters::PLAIN, INK);
            y += letters;
            let place = |row: i64, column: i64| {
                [look.left[2] + (column - first_column) as u32 * look.cell[2], y + (row - first_row) as u32 * look.cell[2]]
            };
            for row in first_row..first_row + field_rows {
                for column in first_column..first_column + field_columns {
                    let on_canvas = (0..canvas.size[0] as i64).contains(&row) && (0..canvas.size[1] as i64).contains(&column);
                    let value = if on_canvas { canvas.get(channel, [row as usize, column as usize]) } else { 0.0 };
                    self.cell(&mut picture, look, 2, place(row, column), value, !stays([row, column]));
                }
            }
            // The line along which padding cuts.
            let [from_row, from_column] = [geometry.crop[0][0], geometry.crop[1][0]];
            let [rows, columns] = geometry.output(self.input.size).unwrap_or_default();
            picture.frame(place(from_row, from_column), [columns as u32 * look.cell[2], rows as u32 * look.cell[2]], 1, INK);
            for [row, column] in cells {
                let at = place((row * geometry.stride[0]) as i64, (column * geometry.stride[1]) as i64);
                let [high, wide] = geometry.kernel.map(|side| side as u32 * look.cell[2]);
                picture.frame(at, [wide, high], (look.cell[2] / 8).clamp(1, 3), MARK);
            }
            y += field_rows as u32 * look.cell[2] + GAP;
        }

        if let Some(colours) = self.colours {
            picture.text([look.left[3], top], "as a picture", Letters::PLAIN, INK);
            let cell = picture_cell(look.field);
            let [rows, columns] = geometry.output(self.input.size).unwrap_or_default();
            for row in 0..rows {
                for column in 0..columns {
                    let at = [row as i64 + geometry.crop[0][0], column as i64 + geometry.crop[1][0]];
                    let on_canvas = (0..2).all(|axis| (0..canvas.size[axis] as i64).contains(&at[axis]));
                    let value = |channel| if on_canvas { canvas.get(channel, at.map(|at| at as usize)) } else { 0.0 };
                    let colour = colours.map(|channel| ((value(channel).tanh() + 1.0) * 127.5).round() as u8);
                    picture.fill([look.left[3] + column as u32 * cell, top + letters + row as u32 * cell], [cell; 2], colour);
                }
            }
        }

        let [_, line] = Letters::PLAIN.size();
        for (at, caption) in captions.iter().enumerate() {
            let y = look.size[1] - CAPTION + at as u32 * (line + 3);
            picture.text([MARGIN, y], caption, Letters::PLAIN, if at == 0 { INK } else { [110, 112, 118] });
        }
        picture.0
    }

    /// One number: its colour, and itself where there is room. `which` is 0 for the input, 1 for kernels, 2 for the canvas.
    fn cell(&self, picture: &mut Canvas, look: &Look, which: usize, at: [u32; 2], value: f32, dimmed: bool) {
        let side = look.cell[which];
        let share = if look.full[which] > 0.0 { value / look.full[which] } else { 0.0 };
        // Under numbers the colours are paler, so that black digits can be read on all of them.
        let colour = diverging(if look.letters[which].is_some() { share * 0.6 } else { share });
        let colour = if dimmed { towards(colour, FAINT, 0.7) } else { colour };
        picture.fill(at, [side; 2], colour);
        if side >= 6 {
            picture.frame(at, [side; 2], 1, towards(colour, INK, 0.12));
        }
        let text = format!("{value}");
        // A number that came out longer than the last ones is written smaller.
        let letters = look.letters[which].filter(|letters| letters.width(&text) < side);
        if let Some(letters) = letters.or_else(|| look.letters[which].and_then(|_| Letters::fitting(text.len(), side - 2, side - 2))) {
            let [_, high] = letters.size();
            let place = [at[0] + (side - letters.width(&text)) / 2 + 1, at[1] + (side - high) / 2 + 1];
            // Nothing was added there yet, or it came to nothing.
            let ink = if dimmed || (which == 2 && value == 0.0) { towards(colour, INK, 0.35) } else { ink_on(colour) };
            picture.text(place, &text, letters, ink);
        }
    }
}

/// Pixels of a pixel of the picture.
fn picture_cell(field: [[i64; 2]; 2]) -> u32 {
    (420 / field[0][1].max(field[1][1]).max(1) as u32).clamp(1, 24)
}

fn towards(from: Colour, to: Colour, share: f32) -> Colour {
    std::array::from_fn(|at| (f32::from(from[at]) + (f32::from(to[at]) - f32::from(from[at])) * share).round() as u8)
}

impl Frames {
    /// Writes them as a GIF with so many frames a second; the last is held for two seconds more.
    ///
    /// # Errors
    /// Writing fails.
    pub fn write_gif<W: Write>(&self, out: W, per_second: f64) -> std::io::Result<W> {
        let delay = (100.0 / per_second).round().clamp(2.0, 6000.0) as u16;
        let mut animation = Animation::new(out, [self.frames[0].width(), self.frames[0].height()])?;
        let last = self.frames.len() - 1;
        let delays = (0..=last).map(|at| if at == last { delay + 200 } else { delay });
        let mut frames = self.frames.iter().zip(delays).peekable();
        while frames.peek().is_some() {
            let part: Vec<(RgbImage, u16)> = frames.by_ref().take(16).map(|(frame, delay)| (frame.clone(), delay)).collect();
            animation.add(&part)?;
        }
        animation.finish()
    }

    /// All frames on one picture, row by row; of very many, some, evenly spread. Made smaller where it would be huge.
    pub fn sheet(&self) -> Picture {
        let all = self.frames.len();
        let count = all.min(MOST_ON_SHEET);
        let shown: Vec<&RgbImage> = (0..count).map(|at| &self.frames[if count == 1 { 0 } else { at * (all - 1) / (count - 1) }]).collect();
        let (width, height) = (shown[0].width(), shown[0].height());
        let columns = (((count as u32 * height) as f64 / f64::from(width)).sqrt().ceil() as u32).clamp(1, count as u32);
        let rows = (count as u32).div_ceil(columns);
        let mut sheet = Canvas::new(columns * (width + 2), rows * (height + 2));
        for (at, frame) in shown.into_iter().enumerate() {
            let place = [at as u32 % columns * (width + 2), at as u32 / columns * (height + 2)];
            sheet.fill(place, [width + 2, height + 2], FAINT);
            sheet.put([place[0] + 1, place[1] + 1], frame);
        }
        let sheet = Picture::Rgb(sheet.0);
        let [width, height] = sheet.size();
        let longest = width.max(height);
        if longest <= MOST_SHEET {
            return sheet;
        }
        let side = |side: u32| (u64::from(side) * u64::from(MOST_SHEET) / u64::from(longest)).max(1) as u32;
        resize(&sheet, side(width), side(height), Filter::Lanczos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{conv::Geometry, gif};

    fn integers(size: [usize; 2], channels: [usize; 2], geometry: Geometry) -> Explanation {
        let numbers = |count: usize, below: usize| (0..count).map(|at| ((at * 7 + 3) % below) as f32 - 2.0).collect::<Vec<_>>();
        let weights = numbers(channels[0] * channels[1] * geometry.kernel[0] * geometry.kernel[1], 5);
        let input = Maps { channels: channels[0], size, values: numbers(channels[0] * size[0] * size[1], 10) };
        let shown = channels.map(|channels| (0..channels).collect());
        Explanation { layer: Layer { geometry, channels, weights }, input, title: "test".to_owned(), shown, colours: None }
    }

    #[test]
    fn there_is_a_frame_for_every_cell_and_the_last_is_the_layers_output() {
        let geometries = [
            Geometry::same([5, 5], [2, 2]).unwrap(),
            Geometry::new([3, 2], [2, 3], [1, 0], [1, 2]).unwrap(),
            Geometry::new([1, 1], [2, 2], [0, 0], [1, 1]).unwrap(),
        ];
        for geometry in geometries {
            for channels in [[1, 1], [2, 3]] {
                let explanation = integers([3, 5], channels, geometry);
                let drawn = explanation.frames().unwrap();
                assert_eq!(drawn.frames.len(), 15 + 2, "{geometry}");
                assert_eq!(drawn.output, explanation.layer.apply(&explanation.input).unwrap(), "{geometry}");
                assert!(drawn.frames.windows(2).all(|pair| pair[0] != pair[1]), "{geometry}: every frame shows something new");
            }
        }
    }

    #[test]
    fn what_a_frame_adds_is_where_its_mark_is() {
        let explanation = integers([2, 2], [1, 1], Geometry::new([2, 2], [2, 2], [0, 0], [0, 0]).unwrap());
        let drawn = explanation.frames().unwrap();
        let marked = |at: usize| {
            let frame = &drawn.frames[at];
            let marked: Vec<_> = frame.enumerate_pixels().filter(|pixel| pixel.2.0 == MARK).map(|(x, y, _)| (x, y)).collect();
            let most = |of: fn(&(u32, u32)) -> u32| marked.iter().map(of).max().unwrap();
            (marked.len(), most(|at| at.0), most(|at| at.1))
        };
        let (first, second, third) = (marked(1), marked(2), marked(3));
        assert!(first.1 < second.1 && first.2 == second.2, "the second cell is right of the first");
        assert!(first.1 == third.1 && first.2 < third.2, "the third is below the first");
        assert!(drawn.frames[0].pixels().all(|pixel| pixel.0 != MARK));
    }

    #[test]
    fn many_cells_share_a_frame_and_the_sheet_stays_in_bounds() {
        let mut explanation = integers([32, 32], [8, 4], Geometry::new([4, 4], [2, 2], [1, 1], [0, 0]).unwrap());
        explanation.input.values.iter_mut().for_each(|value| *value *= 0.37);
        explanation.shown = [vec![0, 3], vec![1]];
        explanation.colours = Some([0, 1, 2]);
        let drawn = explanation.frames().unwrap();
        assert!((60..=MOST_FRAMES + 2).contains(&drawn.frames.len()), "{}", drawn.frames.len());
        let whole = explanation.layer.apply(&explanation.input).unwrap();
        let size = whole.size[0] * whole.size[1];
        assert_eq!(drawn.output.values[..3 * size], whole.values[..3 * size]);
        let sheet = drawn.sheet();
        assert!(sheet.size().iter().all(|side| *side <= MOST_SHEET), "{:?}", sheet.size());
    }

    #[test]
    fn a_gif_has_every_frame_and_holds_the_last() {
        let drawn = integers([2, 3], [1, 1], Geometry::new([2, 2], [2, 2], [0, 0], [0, 0]).unwrap()).frames().unwrap();
        let read = gif::tests::read(&drawn.write_gif(Vec::new(), 10.0).unwrap());
        assert_eq!(read.len(), 8);
        assert_eq!((read[0].1, read[7].1), (10, 210));
        // Few colours: what was drawn is what is shown.
        assert_eq!(read[3].0, drawn.frames[3]);
    }
}
