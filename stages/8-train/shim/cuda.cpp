// A step of training as one CUDA graph. Built only where libtorch has its CUDA half and the headers of the CUDA runtime lie beside it.
#include "shim.h"

#include <map>
#include <memory>
#include <optional>

#include <ATen/Context.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace {

// Pieces of work on one stream, each recorded once. They share their memory, because they never run at the same time.
struct Recorder {
  // Recording is not allowed on the default stream. The warm-up runs here, too: libraries make their workspaces for each stream.
  c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  std::optional<c10::cuda::CUDAStreamGuard> guard;
  std::map<int, std::unique_ptr<at::cuda::CUDAGraph>> graphs;
};

} // namespace

extern "C" {

bool catgen_recorder_available() { return true; }

char *catgen_recorder_new(void **out) {
  return guarded([&] { *out = new Recorder(); });
}

void catgen_recorder_free(void *recorder) { delete static_cast<Recorder *>(recorder); }

// From here to `leave` kernels go to the recorder's own stream, after everything that went to any other.
char *catgen_recorder_enter(void *recorder) {
  return guarded([&] {
    Recorder &it = *static_cast<Recorder *>(recorder);
    c10::cuda::device_synchronize();
    it.guard.emplace(it.stream);
  });
}

char *catgen_recorder_leave(void *recorder) {
  return guarded([&] {
    Recorder &it = *static_cast<Recorder *>(recorder);
    it.stream.synchronize();
    it.guard.reset();
  });
}

// From here to `end` kernels are recorded and not run. Between `enter` and `leave`.
char *catgen_recorder_begin(void *recorder, int number) {
  return guarded([&] {
    Recorder &it = *static_cast<Recorder *>(recorder);
    const at::cuda::MempoolId_t pool = it.graphs.empty() ? at::cuda::MempoolId_t{0, 0} : it.graphs.begin()->second->pool();
    it.graphs[number] = std::make_unique<at::cuda::CUDAGraph>();
    it.graphs[number]->capture_begin(pool);
  });
}

char *catgen_recorder_end(void *recorder, int number) {
  return guarded([&] { static_cast<Recorder *>(recorder)->graphs.at(number)->capture_end(); });
}

// Runs what was recorded, on the current stream. The default generator's seed is read here, so a seed set before holds for this replay.
char *catgen_recorder_replay(void *recorder, int number) {
  return guarded([&] { static_cast<Recorder *>(recorder)->graphs.at(number)->replay(); });
}

// TF32 for what stays in 32 bits: convolutions have it by default, products of matrices do not.
void catgen_allow_tf32() {
  at::globalContext().setAllowTF32CuDNN(true);
  at::globalContext().setAllowTF32CuBLAS(true);
}

}
