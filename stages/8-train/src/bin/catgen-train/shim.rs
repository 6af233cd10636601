//! What `tch` does not bind, through `shim/*.cpp`: the only unsafe code of the trainer beside opening libtorch's CUDA half.
//!
//! Every call hands over pointers to tensors that the borrowed [`Tensor`]s keep alive for its length; the C++ side catches every
//! exception and answers with its message. A tensor that comes back is owned by nobody else.
#![expect(unsafe_code, reason = "C++ functions; each call says why it is sound")]

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
};

use tch::Tensor;

use crate::error::{Failure, first_lines};

/// A pointer to an `at::Tensor`, as `tch` has it.
type Handle = *mut c_void;

unsafe extern "C" {
    fn catgen_leaky_relu(x: Handle, slope: f64, out: *mut Handle) -> *mut c_char;
    fn catgen_conv(x: Handle, kernel: Handle, transposed: bool, products: bool, kernel_products: bool, out: *mut Handle) -> *mut c_char;
    fn catgen_fused_adam(
        parameters: Handle,
        gradient: Handle,
        m: Handle,
        v: Handle,
        step: Handle,
        rate: Handle,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
    ) -> *mut c_char;
    fn catgen_recorder_available() -> bool;
    fn catgen_recorder_new(out: *mut *mut c_void) -> *mut c_char;
    fn catgen_recorder_free(recorder: *mut c_void);
    fn catgen_recorder_enter(recorder: *mut c_void) -> *mut c_char;
    fn catgen_recorder_leave(recorder: *mut c_void) -> *mut c_char;
    fn catgen_recorder_begin(recorder: *mut c_void, number: c_int) -> *mut c_char;
    fn catgen_recorder_end(recorder: *mut c_void, number: c_int) -> *mut c_char;
    fn catgen_recorder_replay(recorder: *mut c_void, number: c_int) -> *mut c_char;
    fn catgen_allow_tf32();
    fn free(memory: *mut c_void);
}

fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast_mut().cast()
}

/// The message of a call that failed.
fn checked(message: *mut c_char) -> Result<(), String> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the C++ side made it with `strdup` and keeps no copy of the pointer; it is freed once, here.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        free(message.cast());
        text
    };
    Err(text)
}

/// A tensor that a call made. Panics where libtorch threw, as `tch` itself does: `main` turns that into an event.
fn made(call: impl FnOnce(*mut Handle) -> *mut c_char) -> Tensor {
    let mut out: Handle = ptr::null_mut();
    checked(call(&mut out)).unwrap_or_else(|message| panic!("{message}"));
    // SAFETY: the call succeeded, so `out` is a new `at::Tensor` on the heap that only this value will delete, as `tch` does with its own.
    unsafe { Tensor::from_ptr(out.cast()) }
}

/// max(0, x) + slope · min(0, x), in one kernel, and twice differentiable.
pub(crate) fn leaky_relu(x: &Tensor, slope: f64) -> Tensor {
    // SAFETY: see the module.
    made(|out| unsafe { catgen_leaky_relu(handle(x), slope, out) })
}

/// A convolution with a kernel of 4 × 4, stride 2, padding 1 on the CPU, its forward and input gradient as products of matrices where
/// `products`, the kernel's gradient where `kernel_products`.
pub(crate) fn conv(x: &Tensor, kernel: &Tensor, transposed: bool, products: bool, kernel_products: bool) -> Tensor {
    // SAFETY: see the module; both lie on the CPU and have one type, as the caller's network is built.
    made(|out| unsafe { catgen_conv(handle(x), handle(kernel), transposed, products, kernel_products, out) })
}

/// One step of Adam over one buffer in one kernel; `step` and `rate` are tensors of one number.
#[derive(Debug)]
pub(crate) struct FusedAdam<'a> {
    pub(crate) parameters: &'a Tensor,
    pub(crate) gradient: &'a Tensor,
    pub(crate) m: &'a Tensor,
    pub(crate) v: &'a Tensor,
    pub(crate) step: &'a Tensor,
    pub(crate) rate: &'a Tensor,
    pub(crate) betas: (f64, f64),
    pub(crate) epsilon: f64,
}

impl FusedAdam<'_> {
    pub(crate) fn run(&self) {
        let [parameters, gradient, m, v, step, rate] = [self.parameters, self.gradient, self.m, self.v, self.step, self.rate].map(handle);
        // SAFETY: see the module; the buffers are of one length and kind, which libtorch checks.
        let message = unsafe { catgen_fused_adam(parameters, gradient, m, v, step, rate, self.betas.0, self.betas.1, self.epsilon) };
        checked(message).unwrap_or_else(|message| panic!("{message}"));
    }
}

/// Lets what stays in 32 bits on a GPU multiply in TF32; nothing on a CPU.
pub(crate) fn allow_tf32() {
    // SAFETY: sets two switches of libtorch's context, before training begins.
    unsafe { catgen_allow_tf32() }
}

/// Records pieces of work on the GPU as CUDA graphs, by number, and replays them.
#[derive(Debug)]
pub(crate) struct Recorder(*mut c_void);

impl Recorder {
    /// Whether this program was built with libtorch's CUDA half.
    pub(crate) fn is_available() -> bool {
        // SAFETY: answers a constant.
        unsafe { catgen_recorder_available() }
    }

    /// One without recordings, with a stream of its own.
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut recorder = ptr::null_mut();
        // SAFETY: `recorder` is written where the call succeeds, and then belongs to this value.
        failed(unsafe { catgen_recorder_new(&mut recorder) })?;
        Ok(Self(recorder))
    }

    /// Runs `work` on the recorder's stream, and waits for it: what comes before a recording.
    pub(crate) fn warm(&self, work: impl FnOnce()) -> Result<(), Failure> {
        // SAFETY: the pointer is this value's own; `enter` and `leave` come in pairs, on one thread.
        failed(unsafe { catgen_recorder_enter(self.0) })?;
        work();
        // SAFETY: as above.
        failed(unsafe { catgen_recorder_leave(self.0) })
    }

    /// Records `work`, which is not run.
    pub(crate) fn record(&self, number: u8, work: impl FnOnce()) -> Result<(), Failure> {
        // SAFETY: as in `warm`; `begin` and `end` come in pairs within `enter` and `leave`. Whatever `work` panics with ends the program,
        // so a recording that was never ended is never used.
        unsafe {
            failed(catgen_recorder_enter(self.0))?;
            failed(catgen_recorder_begin(self.0, number.into()))?;
            work();
            failed(catgen_recorder_end(self.0, number.into()))?;
            failed(catgen_recorder_leave(self.0))
        }
    }

    /// Runs what was recorded under that number.
    pub(crate) fn replay(&self, number: u8) -> Result<(), Failure> {
        // SAFETY: the pointer is this value's own; the tensors that the recording writes to live as long as the players that own this.
        failed(unsafe { catgen_recorder_replay(self.0, number.into()) })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // SAFETY: made by `catgen_recorder_new`, freed once.
        unsafe { catgen_recorder_free(self.0) }
    }
}

fn failed(message: *mut c_char) -> Result<(), Failure> {
    checked(message)
        .map_err(|message| Failure::broken(first_lines(&message), "set graph = \"off\" to train without a CUDA graph, and report this"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use tch::{Device, Kind};

    fn numbers(step: u64, shape: [i64; 4]) -> Tensor {
        let [a, b, h, w] = shape;
        // With channels last in memory, as the networks have them.
        rng::noise(1, step, a as u64, (b * h * w) as u64, Device::Cpu).view([a, h, w, b]).permute([0, 3, 1, 2])
    }

    /// Largest difference, in parts of the largest number.
    fn apart(found: &Tensor, expected: &Tensor) -> f64 {
        assert_eq!(found.size(), expected.size());
        let largest = expected.abs().max().to_kind(Kind::Double).double_value(&[]);
        (found - expected).abs().max().to_kind(Kind::Double).double_value(&[]) / largest
    }

    #[test]
    fn products_of_matrices_are_libtorchs_convolutions() {
        for (kind, close) in [(Kind::Float, 1e-5), (Kind::BFloat16, 2e-2)] {
            for transposed in [false, true] {
                for (height, width) in [(2, 2), (4, 6), (8, 8)] {
                    let x = numbers(1, [3, 20, height, width]).to_kind(kind).detach().set_requires_grad(true);
                    let kernel = numbers(2, if transposed { [20, 18, 4, 4] } else { [18, 20, 4, 4] });
                    let kernel = kernel.to_kind(kind).detach().set_requires_grad(true);
                    let theirs = if transposed {
                        x.conv_transpose2d(&kernel, None::<&Tensor>, 2, 1, 0, 1, 1)
                    } else {
                        x.conv2d(&kernel, None::<&Tensor>, 2, 1, 1, 1)
                    };
                    let weights = numbers(3, <[i64; 4]>::try_from(theirs.size()).unwrap()).to_kind(kind);
                    let gradients = |y: &Tensor| Tensor::run_backward(&[(y * &weights).sum(Kind::Float)], &[&x, &kernel], false, false);
                    let expected = gradients(&theirs);
                    for (products, kernel_products) in [(false, true), (true, true), (true, false)] {
                        let ours = conv(&x, &kernel, transposed, products, kernel_products);
                        let found = gradients(&ours);
                        for (found, expected) in [(&ours, &theirs), (&found[0], &expected[0]), (&found[1], &expected[1])] {
                            let apart = apart(found, expected);
                            assert!(apart < close, "{kind:?}, transposed {transposed}, {height} x {width}: {apart}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_convolution_by_products_can_be_differentiated_twice() {
        let x = numbers(1, [2, 16, 4, 4]).detach().set_requires_grad(true);
        let kernel = numbers(2, [16, 16, 4, 4]).detach().set_requires_grad(true);
        let second = |y: Tensor| {
            let slope = &Tensor::run_backward(&[y.pow_tensor_scalar(3).sum(Kind::Float)], &[&x], true, true)[0];
            Tensor::run_backward(&[slope.square().sum(Kind::Float)], &[&kernel], false, false).swap_remove(0)
        };
        let expected = second(x.conv2d(&kernel, None::<&Tensor>, 2, 1, 1, 1));
        let found = second(conv(&x, &kernel, false, true, true));
        assert!(apart(&found, &expected) < 1e-4, "{}", apart(&found, &expected));
    }

    #[test]
    fn a_leaky_relu_lets_its_slope_through() {
        let x = Tensor::from_slice(&[-2.0f32, 0.0, 3.0]);
        assert_eq!(Vec::<f32>::try_from(leaky_relu(&x, 0.25)).unwrap(), [-0.5, 0.0, 3.0]);
    }

    #[test]
    fn what_libtorch_throws_comes_back_as_words() {
        let (x, kernel) = (numbers(1, [2, 16, 4, 4]), numbers(2, [5, 7, 4, 4]));
        let panic = std::panic::catch_unwind(|| conv(&x, &kernel, false, false, false)).unwrap_err();
        assert!(panic.downcast_ref::<String>().is_some_and(|words| words.contains("channels")));
    }

    #[test]
    fn without_cuda_a_recording_says_so() {
        if Recorder::is_available() {
            println!("skipped: built with CUDA");
            return;
        }
        assert!(Recorder::new().unwrap_err().to_string().contains("no CUDA"));
    }
}
