//! `Event`: what the trainer says while it works, one JSON object a line.
//!
//! A reader ignores fields it does not know and gets [`Event::Unknown`] for a kind it does not know, so that an older
//! engine can follow a newer trainer. Paths are relative to the folder given by `--out`.

use std::io;

use serde::{Deserialize, Serialize};

use crate::{Evaluation, alarms::Logits};

/// One line of the trainer's standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line: everything was found fit, training begins or goes on.
    Start {
        /// `cpu` or `cuda`.
        device: String,
        /// The GPU's name, where the driver tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cuda_device: Option<String>,
        /// Threads the CPU's part runs on.
        #[serde(default)]
        threads: u64,
        /// The version of libtorch.
        libtorch: String,
        /// Pictures in the dataset.
        images: u64,
        /// Their side, in pixels.
        side: u64,
        /// Epochs to do in all.
        epochs: u64,
        /// Steps that make an epoch.
        steps_per_epoch: u64,
        /// Steps to do in all: less than `epochs` × `steps_per_epoch` where `max_images` ends it earlier.
        #[serde(default)]
        steps: u64,
        /// The step of the checkpoint it goes on from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumed_from_step: Option<u64>,
    },
    /// About once a second: means over the steps since the last line of this kind.
    Progress(Measures),
    /// At the end of each epoch: means over the epoch.
    Epoch {
        /// The means.
        #[serde(flatten)]
        measures: Measures,
        /// How long the epoch took in this process.
        seconds: f64,
        /// The grid of samples drawn after it.
        grid: String,
    },
    /// A checkpoint is safe on disk.
    Checkpoint {
        /// Its file of tensors.
        path: String,
        /// Steps done.
        step: u64,
    },
    /// Something is wrong with the training.
    Alarm {
        /// Steps done when it was found.
        step: u64,
        /// What was found.
        message: String,
        /// What is done about it.
        action: String,
    },
    /// How good the pictures are: after an epoch that was measured, and the last line of `evaluate`.
    Evaluated {
        /// Epochs done; none where pictures were judged that came from elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
        /// Steps done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
        /// What the discriminator thinks of training photos, held-out ones and generated pictures.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logits: Option<Logits>,
        /// What was found.
        evaluation: Box<Evaluation>,
        /// How long it took.
        seconds: f64,
    },
    /// The last line of a training that ended well.
    Done {
        /// Whether it came to its end.
        status: Status,
        /// Epochs done.
        epochs: u64,
        /// Steps done.
        steps: u64,
        /// Pictures looked at.
        images_seen: u64,
        /// Training time, earlier processes' included.
        seconds: f64,
        /// Pictures a second, in this process.
        images_per_second: f64,
    },
    /// About once a second while `generate` draws.
    Drawn {
        /// Pictures drawn so far.
        done: u64,
        /// Pictures to draw.
        total: u64,
    },
    /// The last line of `generate`.
    Generated {
        /// Pictures drawn.
        count: u64,
        /// The seed of the first.
        seed: u64,
        /// Steps of the checkpoint they were drawn with.
        step: u64,
        /// The sheet that shows them all, as given or below `--out`; empty where there is none.
        grid: String,
        /// How long it took.
        seconds: f64,
        /// Pictures kept a second, without the time for loading.
        #[serde(default)]
        images_per_second: f64,
        /// Whether they were drawn with the average of the weights.
        #[serde(default)]
        averaged: bool,
        /// The sheet of the pictures most like training pictures, if those were looked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nearest: Option<String>,
    },
    /// The last line of every other command that writes files.
    Written {
        /// The files, the most important one first.
        files: Vec<String>,
        /// What is in them, in a few words.
        about: String,
    },
    /// The last line of a program that failed.
    Error {
        /// What happened.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A kind of event that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What is measured in every step, as means over some steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Steps done since training began.
    pub step: u64,
    /// Pictures looked at since training began.
    pub images_seen: u64,
    /// The discriminator's loss.
    pub loss_d: f64,
    /// The generator's loss.
    pub loss_g: f64,
    /// How real the discriminator finds real pictures, 0 to 1.
    pub d_real: f64,
    /// How real the discriminator finds generated pictures, 0 to 1.
    pub d_fake: f64,
    /// How often real pictures look real to it, less how often not, −1 to 1; where a game compares them, more real than generated ones.
    #[serde(default)]
    pub signs: f64,
    /// The penalty on its slope, without its weight.
    #[serde(default)]
    pub penalty: f64,
    /// The probability of each change to the pictures.
    #[serde(default)]
    pub augment: f64,
    /// Pictures a second.
    pub images_per_second: f64,
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All epochs are done.
    Done,
    /// It was asked to stop, wrote a checkpoint, and can go on from there.
    Stopped,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Event {
    /// Reads one line; `None` where it is no event at all.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Writes the event as one line and hands it on at once.
    ///
    /// # Errors
    /// Whatever writing answers: the reader may be gone.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measures() -> Measures {
        Measures {
            epoch: 2,
            step: 30,
            images_seen: 1920,
            loss_d: 0.5,
            loss_g: 2.5,
            d_real: 0.8,
            d_fake: 0.2,
            signs: 0.5,
            penalty: 0.0,
            augment: 1.0,
            images_per_second: 61.5,
        }
    }

    #[test]
    fn lines_have_the_names_of_the_protocol() {
        for (event, line) in [
            (
                Event::Progress(measures()),
                r#"{"event":"progress","epoch":2,"step":30,"images_seen":1920,"loss_d":0.5,"loss_g":2.5,"d_real":0.8,"d_fake":0.2,"signs":0.5,"penalty":0.0,"augment":1.0,"images_per_second":61.5}"#,
            ),
            (
                Event::Epoch { measures: measures(), seconds: 4.5, grid: "samples/epoch-0002.png".to_owned() },
                r#"{"event":"epoch","epoch":2,"step":30,"images_seen":1920,"loss_d":0.5,"loss_g":2.5,"d_real":0.8,"d_fake":0.2,"signs":0.5,"penalty":0.0,"augment":1.0,"images_per_second":61.5,"seconds":4.5,"grid":"samples/epoch-0002.png"}"#,
            ),
            (
                Event::Done { status: Status::Stopped, epochs: 1, steps: 20, images_seen: 1280, seconds: 9.0, images_per_second: 60.0 },
                r#"{"event":"done","status":"stopped","epochs":1,"steps":20,"images_seen":1280,"seconds":9.0,"images_per_second":60.0}"#,
            ),
            (Event::Error { message: "no".to_owned(), hint: "try".to_owned() }, r#"{"event":"error","message":"no","hint":"try"}"#),
        ] {
            let mut written = Vec::new();
            event.write(&mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), format!("{line}\n"));
            assert_eq!(Event::parse(line).unwrap(), event);
        }
    }

    #[test]
    fn a_reader_bears_what_it_does_not_know() {
        assert_eq!(Event::parse(r#"{"event":"fid","value":3}"#), Some(Event::Unknown));
        assert_eq!(
            Event::parse(r#"{"event":"checkpoint","path":"a","step":1,"new":[]}"#),
            Some(Event::Checkpoint { path: "a".to_owned(), step: 1 })
        );
        let older = r#"{"event":"start","device":"cpu","libtorch":"2.11.0","images":9,"side":64,"epochs":1,"steps_per_epoch":1}"#;
        assert!(matches!(Event::parse(older), Some(Event::Start { images: 9, resumed_from_step: None, .. })));
        assert_eq!(Event::parse("warning: hello"), None);
    }
}
