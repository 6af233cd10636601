use super::*;

const PRESETS: [Preset; 3] = [Preset::Dcgan, Preset::DcganKeras, Preset::R3ganS];

fn noise(batch: u64, shape: &[i64]) -> Tensor {
    rng::noise(1, 0, batch, shape.iter().product::<i64>() as u64, Device::Cpu).view([&[batch as i64], shape].concat().as_slice())
}

/// Options of a network small enough for tests.
fn small(preset: Preset) -> TrainOptions {
    TrainOptions { preset, latent: 5, width: if preset == Preset::R3ganS { 16 } else { 4 }, ..TrainOptions::default() }
}

/// The two networks of the preset with first weights.
fn pair(options: &TrainOptions, side: u64) -> (Network, Network) {
    let (mut g, mut d) = (generator(options, side, Device::Cpu), discriminator(options, side, Device::Cpu));
    g.initialise(3, 0);
    d.initialise(3, 1);
    (g, d)
}

fn shapes(network: &Network) -> Vec<String> {
    network.slots.iter().map(|slot| format!("{} {:?}", slot.name, slot.shape)).collect()
}

#[test]
fn every_preset_has_the_parameters_of_its_source() {
    let check = |preset, width, parameters: [i64; 2]| {
        let options = TrainOptions { preset, width, ..TrainOptions::default() };
        let found = [generator(&options, 64, Device::Cpu), discriminator(&options, 64, Device::Cpu)].map(|network| network.flat.size()[0]);
        assert_eq!(found, parameters, "{preset:?} of width {width}");
    };
    check(Preset::Dcgan, 0, [3_576_704, 2_765_568]);
    check(Preset::Dcgan, 128, [12_658_432, 11_036_160]);
    check(Preset::DcganKeras, 0, [8_058_688, 4_749_057]);
    check(Preset::R3ganS, 0, [1_792_032, 1_779_936]);
    check(Preset::R3ganS, 384, [6_127_680, 6_103_488]);
    check(Preset::R3ganS, 768, [22_429_824, 22_381_440]);
}

#[test]
fn the_parameters_of_dcgan_have_the_tutorials_names() {
    let options = TrainOptions::default();
    let found = shapes(&generator(&options, 64, Device::Cpu));
    assert_eq!(found[..3], ["main.0.weight [100, 512, 4, 4]", "main.1.weight [512]", "main.1.bias [512]"]);
    assert_eq!(found.last().unwrap(), "main.12.weight [64, 3, 4, 4]");
    assert_eq!(shapes(&discriminator(&options, 64, Device::Cpu)).last().unwrap(), "main.11.weight [1, 512, 4, 4]");
}

#[test]
fn every_preset_has_networks_for_every_side() {
    for preset in PRESETS {
        for side in [32, 64, 128, 256] {
            let (generator, discriminator) = pair(&small(preset), side);
            let pictures = generator.forward(&noise(3, &[5]), Mode::Train);
            assert_eq!(pictures.size(), [3, 3, side as i64, side as i64], "{preset:?}");
            assert_eq!(discriminator.forward(&pictures, Mode::Held).size(), [3], "{preset:?}");
            let mut seen = Vec::new();
            let _ = generator.forward_seen(&noise(3, &[5]), Mode::Eval, &mut |layer, x| seen.push((layer.name.clone(), x.size())));
            assert_eq!(seen.len(), generator.layers().len());
            assert_eq!(seen.last().unwrap().1, [3, 3, side as i64, side as i64]);
        }
    }
}

/// Mean and spread of a parameter's first numbers.
fn spread(network: &Network, name: &str) -> (f64, f64) {
    let tensor = network.by_name(&network.flat).find(|(found, _)| *found == name).unwrap().1;
    (tensor.mean(Kind::Float).double_value(&[]), tensor.std(false).double_value(&[]))
}

#[test]
fn first_weights_have_the_spread_of_the_source_and_follow_the_seed() {
    let made = |preset, width, seed, number| {
        let mut network = discriminator(&TrainOptions { preset, width, ..TrainOptions::default() }, 64, Device::Cpu);
        network.initialise(seed, number);
        network
    };
    let check = |network: &Network, name: &str, mean: f64, expected: f64| {
        let found = spread(network, name);
        assert!((found.0 - mean).abs() < 0.012 && (found.1 - expected).abs() < 0.006 + 0.03 * expected, "{name}: {found:?}");
    };
    let dcgan = made(Preset::Dcgan, 16, 1, 0);
    for (name, mean, expected) in
        [("main.0.weight", 0.0, 0.02), ("main.5.weight", 0.0, 0.02), ("main.6.weight", 1.0, 0.02), ("main.6.bias", 0.0, 0.0)]
    {
        check(&dcgan, name, mean, expected);
    }
    // A uniform number within ±l has the spread l / √3.
    let keras = made(Preset::DcganKeras, 16, 1, 0);
    check(&keras, "down2.weight", 0.0, (6.0f64 / (48.0 * 25.0)).sqrt() / 3.0f64.sqrt());
    check(&keras, "down2.bias", 0.0, 0.0);
    let view = keras.by_name(&keras.flat).find(|(name, _)| *name == "down2.weight").unwrap().1;
    let limit = (6.0f64 / (48.0 * 25.0)).sqrt();
    let largest = view.abs().max().double_value(&[]);
    assert!(largest <= limit && largest > 0.99 * limit, "{largest}, limit {limit}");
    // √(2 / 1.04) · 10^(−1/4) / √fan in.
    let r3gan = made(Preset::R3ganS, 64, 1, 0);
    let gain = (2.0f64 / 1.04).sqrt() * 10.0f64.powf(-0.25);
    check(&r3gan, "stage1.block0.conv0.weight", 0.0, gain / 8.0);
    check(&r3gan, "stage1.block0.conv1.weight", 0.0, gain / 12.0);
    check(&r3gan, "stage1.block0.conv2.weight", 0.0, 0.0);
    check(&r3gan, "basis.maps", 0.0, 0.25);
    assert_eq!(dcgan.flat, made(Preset::Dcgan, 16, 1, 0).flat);
    assert!(dcgan.flat != made(Preset::Dcgan, 16, 2, 0).flat && dcgan.flat != made(Preset::Dcgan, 16, 1, 1).flat);
}

#[test]
fn kerass_padding_is_kerass() {
    // Ones through ones: what a place gets is how many places of its kernel lie within the picture. Keras puts one row
    // before and two after at stride 2, so the first place of "same" sees 4 rows, the last one 3.
    let options = TrainOptions { preset: Preset::DcganKeras, latent: 1, width: 1, ..TrainOptions::default() };
    let mut network = discriminator(&options, 32, Device::Cpu);
    let _ = network.flat.fill_(1.0);
    let weight = network.parameter(2);
    assert_eq!(weight.size(), [2, 1, 5, 5]);
    let at = network.layers().iter().position(|layer| layer.name == "down2").unwrap();
    let ones = Tensor::ones([1, 1, 8, 8], (Kind::Float, Device::Cpu));
    let seen = network.layers()[at].op.apply(&ones, &network.held, &network.statistics, Mode::Eval) - 1.0;
    let diagonal: Vec<f64> = (0..4).map(|at| seen.double_value(&[0, 0, at, at])).collect();
    assert_eq!(diagonal, [16.0, 25.0, 25.0, 9.0]);
    // The transposed convolution is the mirror of that convolution: Σ conv(x) · y = Σ x · convT(y) for every x and y.
    let generator = pair(&options, 32).0;
    let up = generator.layers().iter().find(|layer| layer.name == "up1").unwrap();
    let Op::ConvTransposed { weight, .. } = up.op else { panic!() };
    let kernel = generator.parameter(weight); // [8, 4, 5, 5]
    let (x, y) = (noise(2, &[4, 8, 8]), noise(2, &[8, 4, 4]));
    let down = x.constant_pad_nd([1, 2, 1, 2]).conv2d(kernel, None::<&Tensor>, 2, 0, 1, 1);
    let made = up.op.apply(&y, &generator.held, &generator.statistics, Mode::Eval);
    assert_eq!(made.size(), [2, 4, 8, 8]);
    let (left, right) = ((down * &y).sum(Kind::Double).double_value(&[]), (made * &x).sum(Kind::Double).double_value(&[]));
    assert!((left / right - 1.0).abs() < 1e-4, "{left} and {right}");
}

#[test]
fn enlarging_and_reducing_keep_brightness() {
    let flat = Tensor::full([1, 2, 8, 8], 0.5, (Kind::Float, Device::Cpu));
    for (op, side) in [(Op::Enlarge { channels: 2 }, 16), (Op::Reduce { channels: 2 }, 4)] {
        let made = op.apply(&flat, &[], &[], Mode::Eval);
        assert_eq!(made.size(), [1, 2, side, side]);
        let inside = made.narrow(2, 1, side - 2).narrow(3, 1, side - 2);
        assert!((inside - 0.5).abs().max().double_value(&[]) < 1e-6);
    }
}

#[test]
fn the_gradient_lies_where_its_parameter_lies() {
    for preset in PRESETS {
        // Float64 has the digits that a finite difference needs; dropout would make two answers differ.
        let (_, mut network) = pair(&small(preset), 32);
        let input = noise(6, &[3, 32, 32]);
        let loss =
            |network: &Network| rng::seeded(1, Purpose::Step, 0, || network.forward(&input, Mode::Train).square().mean(Kind::Double));
        let value = loss(&network);
        let gradient = network.gradient(&value, false).copy(); // [P]
        assert_eq!(gradient.size(), network.flat.size());
        // A small step against the gradient lowers the loss by the step times the gradient's squared length.
        let before = loss(&network).double_value(&[]);
        let length = gradient.square().sum(Kind::Double).double_value(&[]);
        let step = 1e-3 * before / length;
        let _ = network.flat.subtract_(&(&gradient * step));
        let fallen = before - loss(&network).double_value(&[]);
        assert!((fallen / (step * length) - 1.0).abs() < 0.05, "{preset:?}: fell by {fallen}, expected {}", step * length);
    }
}

#[test]
fn held_parameters_get_no_gradient_and_let_it_through() {
    for preset in PRESETS {
        let (_, network) = pair(&small(preset), 32);
        let input = noise(6, &[3, 32, 32]).set_requires_grad(true);
        let forward = |mode| rng::seeded(1, Purpose::Step, 0, || network.forward(&input, mode));
        let held = forward(Mode::Held);
        let weights = Tensor::run_backward(&[held.sum(Kind::Float)], &network.trained, true, false);
        assert!(weights.iter().all(|gradient| !gradient.defined()));
        let through = &Tensor::run_backward(&[held.sum(Kind::Float)], &[&input], true, false)[0];
        let trained = forward(Mode::Train);
        assert_eq!(held, trained);
        assert_eq!(through, &Tensor::run_backward(&[trained.sum(Kind::Float)], &[&input], false, false)[0]);
    }
}

#[test]
fn eval_looks_at_each_picture_alone() {
    for preset in PRESETS {
        let (network, _) = pair(&small(preset), 32);
        let z = noise(8, &[5]);
        let alone = |at| network.forward(&z.narrow(0, at, 1), Mode::Eval);
        let before = alone(0);
        let together = network.forward(&z, Mode::Eval);
        assert!((together.narrow(0, 0, 1) - &before).abs().max().double_value(&[]) < 1e-5);
        let _ = network.forward(&z, Mode::Train);
        assert_eq!(before != alone(0), network.statistics().next().is_some(), "{preset:?}: running statistics follow training");
    }
}

#[test]
fn a_copy_has_numbers_of_its_own() {
    let (mut network, _) = pair(&small(Preset::Dcgan), 32);
    let _ = network.forward(&noise(8, &[5]), Mode::Train);
    let copy = network.copy();
    assert_eq!((copy.statistic(0), copy.parameter(0)), (network.statistic(0), network.parameter(0)));
    let z = noise(2, &[5]);
    let before = copy.forward(&z, Mode::Eval);
    assert_eq!(before, network.forward(&z, Mode::Eval));
    let _ = network.flat.fill_(0.0);
    let _ = network.forward(&noise(8, &[5]), Mode::Train);
    assert_eq!(before, copy.forward(&z, Mode::Eval));
}
