#pragma once

/// Scanners over bytes that may be hostile. No function here reads outside `[p, p + n)`, allocates, or keeps state.
/// Blocks of 64 bytes are classified at once (SSE2, NEON, or plain C); the last bytes of a text are taken one by one.

#include "cscan_block.h"
#include "cscan_json.h"
#include "cscan_string.h"
#include "cscan_text.h"
