//! What `catgen-train serve` is asked and answers: one JSON object a line, a question on its standard input for each answer on its
//! standard output.
//!
//! The program loads a generator once and draws single pictures while somebody moves a slider. Its first line is [`Said::Ready`] or
//! [`Said::Error`]; when its standard input closes, it ends.

use serde::{Deserialize, Serialize};

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// One picture.
    Draw(Draw),
    /// What a layer makes of a seed, as maps.
    Maps {
        /// The seed.
        seed: u64,
        /// The layer, counted from 0, of those that [`Said::Ready`] names.
        layer: usize,
        /// At most so many channels, those that differ most within themselves first.
        channels: usize,
    },
}

/// Where in the generator's space a picture is to be drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draw {
    /// The seed where it begins.
    pub seed: u64,
    /// The seed that it is on the way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// How far on that way, 0 to 1, along the arc.
    #[serde(default)]
    pub way: f64,
    /// How far along each of the generator's directions after that, in units of a latent's spread; fewer than there are leave the
    /// others at 0.
    #[serde(default)]
    pub moves: Vec<f64>,
    /// What latents are multiplied by: as for `generate`.
    #[serde(default = "whole")]
    pub truncation: f64,
    /// Whether to look for the training picture most like it.
    #[serde(default)]
    pub nearest: bool,
}

fn whole() -> f64 {
    1.0
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum Said {
    /// The generator is loaded.
    Ready {
        /// The side of its pictures in pixels.
        side: u64,
        /// Numbers in a latent.
        latent: u64,
        /// Steps of its training.
        step: u64,
        /// Whether it draws with the average of the weights.
        averaged: bool,
        /// Directions to move along.
        directions: Directions,
        /// How much each matters, as a share of all; empty where nothing is known of that.
        weights: Vec<f64>,
        /// Layers whose maps can be looked at.
        layers: Vec<Layer>,
    },
    /// A picture.
    Picture {
        /// A PNG file, in base64.
        png: String,
        /// The training picture most like it, if it was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nearest: Option<Near>,
    },
    /// What a layer makes.
    Maps {
        /// For each channel: which of the layer's it is, and a PNG file in base64 in which grey is 0.
        channels: Vec<(usize, String)>,
        /// The number that is fully coloured.
        full: f64,
    },
    /// That question cannot be answered; or, as the first line, none can.
    Error {
        /// What happened.
        message: String,
        /// What to do.
        hint: String,
    },
}

/// How the directions were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directions {
    /// The directions that the generator's first layer answers to most: eigenvectors of AᵀA of its weights A, the largest eigenvalue
    /// first (Shen and Zhou, Closed-Form Factorization of Latent Semantics in GANs, CVPR 2021, arXiv 2007.06600).
    Principal,
    /// Directions at right angles to one another, drawn from a fixed seed: the first layer is none that the above is defined for.
    Random,
}

/// A layer with maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name: `main.0`.
    pub name: String,
    /// What it is.
    pub what: String,
    /// Channels, rows, columns.
    pub size: [u64; 3],
}

/// The training picture most like a drawn one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Near {
    /// Its row in `train.npy`.
    pub row: u64,
    /// How far it is, in levels: below about 15 is a copy.
    pub distance: f64,
    /// Whether it is its mirror image that is so near.
    pub mirrored: bool,
    /// The photo that it was made from, where that is known.
    pub photo: Option<String>,
    /// A PNG file, in base64.
    pub png: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_at_rest() {
        let asked: Ask = serde_json::from_str(r#"{"ask":"draw","seed":3}"#).unwrap();
        let rest = Draw { seed: 3, to: None, way: 0.0, moves: Vec::new(), truncation: 1.0, nearest: false };
        assert_eq!(asked, Ask::Draw(rest));
        let said = Said::Maps { channels: vec![(4, "AA==".to_owned())], full: 0.5 };
        assert_eq!(serde_json::to_string(&said).unwrap(), r#"{"said":"maps","channels":[[4,"AA=="]],"full":0.5}"#);
    }
}
