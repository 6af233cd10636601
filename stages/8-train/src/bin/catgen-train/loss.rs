//! What the two networks play for.
//!
//! x is a batch of real pictures, G(z) one of generated pictures, r = D(x) and f = D(G(z)) the discriminator's logits, σ(y) = 1 / (1 + e⁻ʸ),
//! [y]₊ = max(0, y). softplus(y) = log(1 + eʸ), so −log σ(y) = softplus(−y) and −log(1 − σ(y)) = softplus(y), with no log of 0 anywhere.
//!
//! | game | L_D | L_G |
//! |---|---|---|
//! | `bce` | −mean log σ(r) − mean log(1 − σ(f)) | −mean log σ(f) |
//! | `lsgan` | ½ mean (r − 1)² + ½ mean f² | ½ mean (f − 1)² |
//! | `hinge` | mean [1 − r]₊ + mean [1 + f]₊ | −mean f |
//! | `rsgan` | −mean log σ(r − f) | −mean log σ(f − r) |
//! | `rasgan` | −mean log σ(r − mean f) − mean log(1 − σ(f − mean r)) | L_D with r and f exchanged |
//! | `ralsgan` | mean (r − mean f − 1)² + mean (f − mean r + 1)² | L_D with r and f exchanged |
//! | `rahinge` | mean [1 − (r − mean f)]₊ + mean [1 + (f − mean r)]₊ | L_D with r and f exchanged |
//!
//! Sources: `bce` arXiv 1406.2661, eq. 1 and the non-saturating form of section 3; `lsgan` arXiv 1611.04076, eq. 9; `hinge` arXiv
//! 1705.02894; the others arXiv 1807.00734, section 4 (`rsgan` pairs the i-th real with the i-th generated picture).

use catgen_train::Game;
use tch::{Kind, Tensor};

/// −mean log σ(y)
fn surprise(y: &Tensor) -> Tensor {
    y.neg().softplus().mean(Kind::Float)
}

/// mean [1 − y]₊
fn hinge(y: &Tensor) -> Tensor {
    y.neg().g_add_scalar(1.0).relu().mean(Kind::Float)
}

/// mean (y − 1)²
fn square(y: &Tensor) -> Tensor {
    (y - 1.0).square().mean(Kind::Float)
}

/// How far `better` is above the mean of `worse`, and `worse` below the mean of `better`: both want to be large.
fn leads(better: &Tensor, worse: &Tensor) -> [Tensor; 2] {
    [better - worse.mean(Kind::Float), better.mean(Kind::Float) - worse]
}

/// The discriminator's loss from its logits on real ([B]) and on generated ([B]) pictures.
pub(crate) fn discriminator(game: Game, on_real: &Tensor, on_fake: &Tensor) -> Tensor {
    match game {
        Game::Bce => surprise(on_real) + surprise(&on_fake.neg()),
        Game::Lsgan => (square(on_real) + on_fake.square().mean(Kind::Float)) * 0.5,
        Game::Hinge => hinge(on_real) + hinge(&on_fake.neg()),
        Game::Rsgan => surprise(&(on_real - on_fake)),
        Game::Rasgan => summed(surprise, on_real, on_fake),
        Game::Ralsgan => summed(square, on_real, on_fake),
        Game::Rahinge => summed(hinge, on_real, on_fake),
    }
}

/// The generator's loss from the discriminator's logits; those on real pictures are read where [`compares`] says so.
pub(crate) fn generator(game: Game, on_real: Option<&Tensor>, on_fake: &Tensor) -> Tensor {
    match (game, on_real) {
        (Game::Bce, _) => surprise(on_fake),
        (Game::Lsgan, _) => square(on_fake) * 0.5,
        (Game::Hinge, _) => on_fake.neg().mean(Kind::Float),
        // The relativistic games are the same for both players, each on its own side.
        (_, Some(on_real)) => discriminator(game, on_fake, on_real),
        (_, None) => unreachable!("a game that compares gets the logits on real pictures"),
    }
}

/// Whether the generator's loss depends on the discriminator's logits on real pictures.
pub(crate) fn compares(game: Game) -> bool {
    matches!(game, Game::Rsgan | Game::Rasgan | Game::Ralsgan | Game::Rahinge)
}

fn summed(term: fn(&Tensor) -> Tensor, better: &Tensor, worse: &Tensor) -> Tensor {
    let [above, below] = leads(better, worse);
    term(&above) + term(&below)
}

/// How real pictures look to the discriminator, 0 to 1: mean σ(D(·)).
pub(crate) fn belief(logits: &Tensor) -> Tensor {
    logits.detach().sigmoid().mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &Tensor, expected: f64) {
        let found = found.double_value(&[]);
        assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{found}, expected {expected}");
    }

    const GAMES: [Game; 7] = [Game::Bce, Game::Lsgan, Game::Hinge, Game::Rsgan, Game::Rasgan, Game::Ralsgan, Game::Rahinge];

    #[test]
    fn every_game_is_what_its_formula_says() {
        let (real, fake) = ([0.5, -1.0, 2.0], [0.1, -0.3, 1.5]);
        let mean = |of: &dyn Fn(usize) -> f64| (0..3).map(of).sum::<f64>() / 3.0;
        let log_sigma = |y: f64| (1.0 / (1.0 + (-y).exp())).ln();
        let (mean_r, mean_f) = (mean(&|at| real[at]), mean(&|at| fake[at]));
        let (on_real, on_fake) = (Tensor::from_slice(&real.map(|y| y as f32)), Tensor::from_slice(&fake.map(|y| y as f32)));
        let (r, f) = (|at: usize| real[at], |at: usize| fake[at]);
        for game in GAMES {
            let expected = match game {
                Game::Bce => [-mean(&|i| log_sigma(r(i))) - mean(&|i| (1.0 - log_sigma(f(i)).exp()).ln()), -mean(&|i| log_sigma(f(i)))],
                Game::Lsgan => {
                    [0.5 * mean(&|i| (r(i) - 1.0).powi(2)) + 0.5 * mean(&|i| f(i).powi(2)), 0.5 * mean(&|i| (f(i) - 1.0).powi(2))]
                }
                Game::Hinge => [mean(&|i| (1.0 - r(i)).max(0.0)) + mean(&|i| (1.0 + f(i)).max(0.0)), -mean_f],
                Game::Rsgan => [-mean(&|i| log_sigma(r(i) - f(i))), -mean(&|i| log_sigma(f(i) - r(i)))],
                Game::Rasgan => [
                    -mean(&|i| log_sigma(r(i) - mean_f)) - mean(&|i| (1.0 - log_sigma(f(i) - mean_r).exp()).ln()),
                    -mean(&|i| log_sigma(f(i) - mean_r)) - mean(&|i| (1.0 - log_sigma(r(i) - mean_f).exp()).ln()),
                ],
                Game::Ralsgan => [
                    mean(&|i| (r(i) - mean_f - 1.0).powi(2)) + mean(&|i| (f(i) - mean_r + 1.0).powi(2)),
                    mean(&|i| (f(i) - mean_r - 1.0).powi(2)) + mean(&|i| (r(i) - mean_f + 1.0).powi(2)),
                ],
                Game::Rahinge => [
                    mean(&|i| (1.0 - (r(i) - mean_f)).max(0.0)) + mean(&|i| (1.0 + (f(i) - mean_r)).max(0.0)),
                    mean(&|i| (1.0 - (f(i) - mean_r)).max(0.0)) + mean(&|i| (1.0 + (r(i) - mean_f)).max(0.0)),
                ],
            };
            check(&discriminator(game, &on_real, &on_fake), expected[0]);
            check(&generator(game, Some(&on_real), &on_fake), expected[1]);
            if !compares(game) {
                check(&generator(game, None, &on_fake), expected[1]);
            }
        }
        check(&belief(&on_fake), mean(&|i| log_sigma(f(i)).exp()));
    }

    #[test]
    fn a_discriminator_that_is_sure_gives_a_finite_loss() {
        let sure = Tensor::from_slice(&[500.0f32]);
        check(&discriminator(Game::Bce, &sure, &sure), 500.0);
        check(&generator(Game::Bce, None, &sure.neg()), 500.0);
        check(&discriminator(Game::Rsgan, &sure.neg(), &sure), 1000.0);
    }
}
