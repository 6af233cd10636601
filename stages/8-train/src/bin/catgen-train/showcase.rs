//! What a training shows of itself besides its grids and statistics: curves and pictures for TensorBoard after each epoch, a reel of
//! all grids at the end. All of it is for looking at: if it cannot be written, training goes on, and says so once.

use std::{
    io,
    path::{Path, PathBuf},
};

use catgen_picture::encode_png;
use catgen_train::{Measures, reel};
use serde_json::Value;
use tch::Tensor;

use crate::{
    evaluate::Measured,
    grid,
    tensorboard::{self, Board},
};

/// Samples on the pictures for TensorBoard: those of hundreds of epochs are in one file.
const SAMPLES: i64 = 16;

/// Of one training.
#[derive(Debug)]
pub(crate) struct Showcase {
    folder: PathBuf,
    /// `None` once it could not be written.
    board: Option<Board>,
}

impl Showcase {
    /// For a training in `folder`; shows nothing before [`Showcase::rewind`].
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), board: None }
    }

    /// The training begins or goes on after `step`: what was noted of later ones goes.
    pub(crate) fn rewind(&mut self, step: u64) {
        self.board = Board::open(&self.folder, step).map_err(|error| eprintln!("warning: no curves for TensorBoard: {error}")).ok();
    }

    /// Notes an epoch: its measures, its samples, bytes [N, 3, S, S], and how good they are, where that was measured.
    pub(crate) fn epoch(&mut self, measures: &Measures, samples: &Tensor, measured: Option<&Measured>) {
        let Some(board) = &mut self.board else { return };
        if let Err(error) = note(board, measures, samples, measured) {
            eprintln!("warning: no more curves for TensorBoard: {error}");
            self.board = None;
        }
    }

    /// Makes the reel, once all grids are drawn; one that is there is made again only if grids `changed`.
    pub(crate) fn reel(&self, changed: bool) {
        if !changed && self.folder.join("reel.gif").exists() {
            return;
        }
        if let Err(error) = reel::make(&self.folder) {
            eprintln!("warning: no reel of the grids: {error}; `catgen-pipe reel` makes it again");
        }
    }
}

fn note(board: &mut Board, measures: &Measures, samples: &Tensor, measured: Option<&Measured>) -> io::Result<()> {
    let Measures { epoch, step, loss_d, loss_g, d_real, d_fake, signs, penalty, augment, images_per_second, .. } = *measures;
    let numbers = [
        ("loss/discriminator", loss_d),
        ("loss/generator", loss_g),
        ("discriminator/finds_real_real", d_real),
        ("discriminator/finds_drawn_real", d_fake),
        ("discriminator/sign_of_real", signs),
        ("discriminator/penalty", penalty),
        ("augmentation/probability", augment),
        ("images_per_second", images_per_second),
        ("epoch", epoch as f64),
    ];
    board.numbers(step, &numbers)?;
    if let Some(measured) = measured {
        let mut found = Vec::new();
        leaves("evaluation", &serde_json::json!(measured.evaluation), &mut found);
        let found: Vec<(&str, f64)> = found.iter().map(|(name, number)| (name.as_str(), *number)).collect();
        board.numbers(step, &found)?;
    }
    if !tensorboard::shows(epoch) {
        return Ok(());
    }
    let sheet = grid::sheet(&samples.narrow(0, 0, samples.size()[0].min(SAMPLES)));
    board.picture(step, "samples", sheet.size(), encode_png(&sheet))
}

/// Every number of an evaluation under its path (`evaluation/held_out/kid`), whatever is measured; lists are left out.
fn leaves(path: &str, value: &Value, found: &mut Vec<(String, f64)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| leaves(&format!("{path}/{name}"), value, found)),
        Value::Number(number) => found.extend(number.as_f64().map(|number| (path.to_owned(), number))),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_wherever_they_are() {
        let value =
            serde_json::json!({"features": "x", "held_out": {"kid": 0.5, "n": 3}, "copied": {"share": 0.1, "nearest": [{"row": 1}]}});
        let mut found = Vec::new();
        leaves("evaluation", &value, &mut found);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [("evaluation/copied/share", 0.1), ("evaluation/held_out/kid", 0.5), ("evaluation/held_out/n", 3.0)];
        assert!(found.iter().map(|(name, number)| (name.as_str(), *number)).eq(expected));
    }
}
