//! `LossKind`: what the two networks play for, by name: `ralsgan`, `bce-gp`, `rsgan-r1r2`. The formulas are in the program's `loss.rs`.

use serde::{Deserialize, Serialize};

/// Every word that names a loss, and `preset`.
pub(crate) const WORDS: &[&str] = &[
    "preset",
    "bce",
    "lsgan",
    "hinge",
    "ralsgan",
    "rahinge",
    "rasgan",
    "rsgan",
    "bce-gp",
    "lsgan-gp",
    "hinge-gp",
    "ralsgan-gp",
    "rahinge-gp",
    "rasgan-gp",
    "rsgan-gp",
    "bce-r1r2",
    "lsgan-r1r2",
    "hinge-r1r2",
    "ralsgan-r1r2",
    "rahinge-r1r2",
    "rasgan-r1r2",
    "rsgan-r1r2",
];

/// What is done with the discriminator's logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Game {
    /// Binary cross-entropy on logits, the generator's part in its non-saturating form: Goodfellow et al., arXiv 1406.2661.
    Bce,
    /// Least squares: Mao et al., arXiv 1611.04076.
    Lsgan,
    /// Hinge: Lim and Ye, arXiv 1705.02894.
    Hinge,
    /// Relativistic average least squares: Jolicoeur-Martineau, arXiv 1807.00734.
    Ralsgan,
    /// Relativistic average hinge: same paper.
    Rahinge,
    /// Relativistic average cross-entropy: same paper.
    Rasgan,
    /// Relativistic cross-entropy, each real picture against one generated: same paper; the loss of R3GAN.
    Rsgan,
}

/// What keeps the discriminator's slope small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Penalty {
    /// Nothing.
    None,
    /// (|∇D| − 1)² between real and generated pictures: Gulrajani et al., arXiv 1704.00028.
    Gp,
    /// |∇D|² on real and on generated pictures: Mescheder et al., arXiv 1801.04406.
    R1r2,
}

/// What the two networks play for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LossKind {
    /// As the preset wants it.
    Preset,
    /// This one.
    Is(Game, Penalty),
}

const GAMES: [(Game, &str); 7] = [
    (Game::Bce, "bce"),
    (Game::Lsgan, "lsgan"),
    (Game::Hinge, "hinge"),
    (Game::Ralsgan, "ralsgan"),
    (Game::Rahinge, "rahinge"),
    (Game::Rasgan, "rasgan"),
    (Game::Rsgan, "rsgan"),
];
const PENALTIES: [(Penalty, &str); 3] = [(Penalty::None, ""), (Penalty::Gp, "-gp"), (Penalty::R1r2, "-r1r2")];

impl From<LossKind> for String {
    fn from(kind: LossKind) -> Self {
        let LossKind::Is(game, penalty) = kind else { return "preset".to_owned() };
        let game = GAMES.iter().find(|(known, _)| *known == game).map_or("", |(_, word)| word);
        let penalty = PENALTIES.iter().find(|(known, _)| *known == penalty).map_or("", |(_, word)| word);
        format!("{game}{penalty}")
    }
}

impl TryFrom<String> for LossKind {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        if word == "preset" {
            return Ok(Self::Preset);
        }
        let (game, penalty) = word.split_once('-').map_or((word.as_str(), ""), |(game, _)| (game, &word[game.len()..]));
        let game = GAMES.iter().find(|(_, known)| *known == game).map(|(game, _)| *game);
        let penalty = PENALTIES.iter().find(|(_, known)| *known == penalty).map(|(penalty, _)| *penalty);
        game.zip(penalty).map(|(game, penalty)| Self::Is(game, penalty)).ok_or(format!("{word:?} is no loss"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_a_loss_and_every_loss_has_its_word() {
        for word in WORDS {
            let kind = LossKind::try_from((*word).to_owned()).unwrap();
            assert_eq!(String::from(kind), *word);
        }
        assert_eq!(WORDS.len(), 1 + GAMES.len() * PENALTIES.len());
        assert!(LossKind::try_from("bce-r1".to_owned()).is_err());
    }
}
