// What the trainer needs of libtorch and `tch` does not bind. Every function answers null, or a message that the caller frees.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>

#include <ATen/core/Tensor.h>

// `tch` hands out tensors as pointers to these.
using Handle = at::Tensor *;

template <typename Work>
char *guarded(Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception of a kind that libtorch does not throw");
  }
}
