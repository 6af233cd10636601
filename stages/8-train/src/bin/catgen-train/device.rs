//! Where to compute, and what libtorch is there.

use std::{fs, path::PathBuf};

use catgen_train::{Device as Wanted, LossKind, Penalty, Precision, Preset, Switch, TrainOptions};
use tch::{Cuda, Device, Kind};

use crate::{
    error::Failure,
    shim::{self, Recorder},
};

/// The version of libtorch that this program was built with; another one would not load.
pub(crate) const LIBTORCH: &str = env!("CATGEN_LIBTORCH_VERSION");

/// Opens the CUDA half of libtorch if it lies beside the CPU half; says so if that fails.
///
/// libtorch finds its CUDA half through tables that `libtorch_cuda.so` fills in as it is loaded. Nothing in this program
/// names a symbol of it, so a linker run with `--as-needed`, the usual default, leaves it out, and without this call a
/// machine with a GPU would look like one without. To be called before anything else of libtorch.
pub(crate) fn open_cuda_half() -> Result<(), String> {
    let Some(path) = loaded("libtorch_cpu.so").map(|cpu| cpu.with_file_name("libtorch_cuda.so")).filter(|path| path.exists()) else {
        return Ok(());
    };
    #[expect(unsafe_code, reason = "opening a library runs its initialisers; these are libtorch's own, of the version we are linked with")]
    // SAFETY: called once, before any other thread is started and before libtorch is used.
    let library = unsafe { libloading::Library::new(&path) };
    match library {
        // Never closed: libtorch keeps pointers into it.
        Ok(library) => std::mem::forget(library),
        Err(error) => return Err(format!("{} is there and cannot be opened: {error}", path.display())),
    }
    Ok(())
}

/// The file from which a library of this process was loaded.
fn loaded(name: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..]))).find(|path| path.ends_with(name))
}

/// Makes libtorch ready for a training: answers the numbers that convolutions compute with, and whether steps are recorded.
pub(crate) fn prepare(options: &TrainOptions, device: Device) -> Result<(Kind, bool), Failure> {
    Cuda::cudnn_set_benchmark(device.is_cuda());
    if device.is_cuda() && options.precision == Precision::Auto {
        shim::allow_tf32();
    }
    Ok((numbers(options, device), records(options.graph, device)?))
}

/// The numbers that a training's convolutions compute with.
///
/// `auto`: bfloat16 for the DCGANs on a GPU, and on a CPU that multiplies matrices of them (Intel's AMX: a step measured 2.4 times as fast;
/// without it no faster than 32 bits). 32 bits for r3gan-s, and wherever a penalty is computed: the slope's own slope has not been measured in 16.
fn numbers(options: &TrainOptions, device: Device) -> Kind {
    let safe = options.preset != Preset::R3ganS && matches!(options.loss, LossKind::Is(_, Penalty::None));
    match options.precision {
        Precision::Float32 => Kind::Float,
        Precision::Bfloat16 => Kind::BFloat16,
        Precision::Auto if safe && (device.is_cuda() || has_amx()) => Kind::BFloat16,
        Precision::Auto => Kind::Float,
    }
}

/// Whether the processor multiplies matrices of bfloat16.
fn has_amx() -> bool {
    fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.lines().any(|line| line.starts_with("flags") && line.contains(" amx_bf16")))
}

/// Whether steps are recorded as a CUDA graph.
fn records(wanted: Switch, device: Device) -> Result<bool, Failure> {
    let able = device.is_cuda() && Recorder::is_available();
    match wanted {
        Switch::Off => Ok(false),
        Switch::Auto => Ok(able),
        Switch::On if able => Ok(true),
        Switch::On => Err(Failure::unfit(
            "the options ask for a CUDA graph, and there is no GPU, or this program was built without CUDA",
            "run `catgen-train doctor` to see what was found, or set graph = \"auto\"",
        )),
    }
}

/// The device that the options ask for.
pub(crate) fn choose(wanted: Wanted) -> Result<Device, Failure> {
    match wanted {
        Wanted::Cpu => Ok(Device::Cpu),
        Wanted::Auto => Ok(Device::cuda_if_available()),
        Wanted::Cuda if Cuda::is_available() => Ok(Device::Cuda(0)),
        Wanted::Cuda => Err(Failure::unfit(
            "the options ask for a GPU, and libtorch sees none",
            "run `catgen-train doctor` to see what was found, or set device = \"auto\"",
        )),
    }
}

/// `cpu` or `cuda`.
pub(crate) fn name(device: Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}

/// The first GPU's name, as the driver tells it in `/proc`.
pub(crate) fn cuda_name() -> Option<String> {
    let gpu = fs::read_dir("/proc/driver/nvidia/gpus").ok()?.filter_map(Result::ok).map(|entry| entry.path()).min()?;
    let text = fs::read_to_string(gpu.join("information")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Model:")).map(|model| model.trim().to_owned())
}
