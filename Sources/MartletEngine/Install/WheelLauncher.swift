#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The program that starts the server inside the `xllamacpp` wheel with llama-server's own flags.
///
/// The wheel is a Python extension, not an executable. What differs from a real llama-server: the socket appears only
/// when the model is loaded, and there is no router for several models.
enum WheelLauncher {
    static let fileName = "llama_server.py"

    /// Puts our launcher in place of one that another version of Martlet wrote, which knows other flags; whether there
    /// was one.
    /// - Throws: `fileSystem`, `diskFull`.
    @discardableResult
    static func refresh(_ path: String) throws(EngineError) -> Bool {
        guard Disk.read(path) != Array(text.utf8) else { return false }
        let part = "\(path).\(getpid()).part"
        try Disk.write(text, to: part)
        try Disk.rename(part, to: path)
        return true
    }

    static let text = #"""
        """Starts llama.cpp's server, as the wheel xllamacpp holds it, with llama-server's flags.

        An unknown flag is an error. Signals keep their default effect, so SIGTERM ends a load at once.
        """
        import argparse
        import importlib.metadata
        import os
        import signal
        import sys

        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        FLASH = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}
        CACHE_TYPES = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]


        def arguments():
            parser = argparse.ArgumentParser(prog="llama-server", allow_abbrev=False)
            add = parser.add_argument
            add("--version", action="store_true")
            add("--list-devices", action="store_true")
            add("-m", "--model")
            add("-a", "--alias", default="")
            add("--host", default="127.0.0.1")
            add("--port", type=int, default=8080)
            add("-c", "--ctx-size", type=int, default=0)
            add("-np", "--parallel", type=int, default=1)
            add("-kvu", "--kv-unified", action="store_true")
            add("-n", "--predict", "--n-predict", type=int)
            add("-b", "--batch-size", type=int)
            add("-ub", "--ubatch-size", type=int)
            add("-t", "--threads", type=int)
            add("-tb", "--threads-batch", type=int)
            add("--poll", type=int)
            add("-ngl", "--gpu-layers", "--n-gpu-layers")
            add("-fa", "--flash-attn", choices=list(FLASH))
            add("-nkvo", "--no-kv-offload", action="store_true")
            add("-ctk", "--cache-type-k", choices=CACHE_TYPES)
            add("-ctv", "--cache-type-v", choices=CACHE_TYPES)
            add("-md", "--model-draft")
            add("--embeddings", "--embedding", action="store_true")
            add("--rerank", "--reranking", action="store_true")
            add("--pooling", choices=["none", "mean", "cls", "last", "rank"])
            add("--chat-template")
            add("--mmproj")
            add("--api-key")
            add("--metrics", action="store_true")
            add("--props", action="store_true")
            add("--no-slots", action="store_true")
            add("--slot-save-path")
            add("--timeout", type=int)
            add("--sleep-idle-seconds", type=int)
            add("--cache-ram", type=int)
            add("--ctx-checkpoints", type=int)
            add("--threads-http", type=int)
            for ignored in ("--jinja", "--slots", "--no-webui", "--no-ui", "--offline"):
                add(ignored, action="store_true")
            return parser.parse_args()


        def list_devices(engine):
            print("Available devices:")
            for device in engine.get_device_info():
                if device["name"] == "CPU":
                    continue
                total, free = (device[key] // (1 << 20) for key in ("memory_total", "memory_free"))
                print(f"  {device['name']}: {device['description']} ({total} MiB, {free} MiB free)")


        def parameters(engine, given):
            p = engine.CommonParams()
            p.model.path = given.model
            p.hostnames = [given.host]
            p.port = given.port
            p.n_ctx = given.ctx_size
            p.n_parallel = given.parallel
            p.kv_unified = given.kv_unified
            p.no_kv_offload = given.no_kv_offload
            p.ui = False
            p.endpoint_metrics = given.metrics
            p.endpoint_props = given.props
            p.endpoint_slots = not given.no_slots
            if given.alias:
                p.model_alias = set(given.alias.split(","))
            if given.threads:
                p.cpuparams.n_threads = given.threads
                p.cpuparams_batch.n_threads = given.threads
            if given.threads_batch:
                p.cpuparams_batch.n_threads = given.threads_batch
            if given.poll is not None:
                p.cpuparams.poll = given.poll
                p.cpuparams_batch.poll = given.poll
            if given.gpu_layers and given.gpu_layers.isdigit():
                p.n_gpu_layers = int(given.gpu_layers)
            if given.flash_attn:
                p.flash_attn_type = getattr(
                    engine.llama_flash_attn_type, "LLAMA_FLASH_ATTN_TYPE_" + FLASH[given.flash_attn])
            for name in ("cache_type_k", "cache_type_v"):
                if getattr(given, name):
                    setattr(p, name, getattr(engine.ggml_type, "GGML_TYPE_" + getattr(given, name).upper()))
            if given.model_draft:
                p.speculative.draft.mparams.path = given.model_draft
                p.speculative.types = [engine.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
            if given.embeddings or given.rerank:
                p.embedding = True
                p.n_batch = p.n_ubatch
            pooling = "rank" if given.rerank else given.pooling
            if pooling:
                p.pooling_type = getattr(engine.llama_pooling_type, "LLAMA_POOLING_TYPE_" + pooling.upper())
            if given.mmproj:
                p.mmproj.path = given.mmproj
            if given.api_key:
                p.api_keys = given.api_key.split(",")
            if given.timeout:
                p.timeout_read = p.timeout_write = given.timeout
            names = {
                "predict": "n_predict", "batch_size": "n_batch", "ubatch_size": "n_ubatch",
                "chat_template": "chat_template", "slot_save_path": "slot_save_path",
                "sleep_idle_seconds": "sleep_idle_seconds", "cache_ram": "cache_ram_mib",
                "ctx_checkpoints": "n_ctx_checkpoints", "threads_http": "n_threads_http",
            }
            for name, field in names.items():
                value = getattr(given, name)
                if value is not None:
                    setattr(p, field, value)
            return p


        def main():
            given = arguments()
            if given.version:
                print(f"version: {importlib.metadata.version('xllamacpp')} (xllamacpp)", file=sys.stderr)
                return
            import xllamacpp as engine
            if given.list_devices:
                list_devices(engine)
                return
            if not given.model:
                sys.exit("error: --model is required")
            try:
                server = engine.Server(parameters(engine, given))
            except Exception as failure:
                sys.exit(f"error: {failure}")
            print("server is listening on", server.listening_address, file=sys.stderr, flush=True)
            while True:
                signal.pause()


        main()

        """#
}
