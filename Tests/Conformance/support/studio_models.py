"""The part of the stand-in for LM Studio that manages models: lists, loads, unloads, downloads, and what its older API tells."""

import json
import time

LOAD_KEYS = {"model", "context_length", "eval_batch_size", "flash_attention", "num_experts", "offload_kv_cache_to_gpu",
             "echo_load_config"}


class Model:
    """A downloaded model, and its loaded instances: their ids, and the context that each has."""

    def __init__(self, key, loaded=True, context=8192, embedding=False):
        self.key, self.context, self.embedding = key, context, embedding
        self.instances = {key: context} if loaded else {}

    @property
    def loaded(self):
        return bool(self.instances)

    @loaded.setter
    def loaded(self, value):
        self.instances = {self.key: self.context} if value else {}

    def load(self, context=None):
        """One more instance; its id."""
        number = 1
        while (name := self.key if number == 1 else f"{self.key}:{number}") in self.instances:
            number += 1
        self.instances[name] = context or self.context
        return name

    @property
    def native(self):
        """The entry of `GET /api/v1/models`."""
        entry = {"type": "embedding" if self.embedding else "llm", "publisher": "acme", "key": self.key,
                 "display_name": self.key.title(), "architecture": "qwen3",
                 "quantization": {"name": "Q4_K_M", "bits_per_weight": 4}, "size_bytes": 5_030_000_000, "params_string": "8B",
                 "loaded_instances": [{"id": name, "config": {"context_length": context, "parallel": 4}}
                                      for name, context in self.instances.items()],
                 "max_context_length": 131072, "format": "gguf",
                 "capabilities": {"vision": False, "trained_for_tool_use": True}, "description": None}
        if self.embedding:
            del entry["architecture"], entry["capabilities"], entry["description"]
        else:
            entry["variants"] = [f"{self.key}@q4_k_m"]
        return entry

    @property
    def legacy(self):
        """The entry of `GET /api/v0/models`."""
        entry = {"id": self.key, "object": "model", "type": "embeddings" if self.embedding else "llm", "publisher": "acme",
                 "arch": "qwen3", "compatibility_type": "gguf", "quantization": "Q4_K_M",
                 "state": "loaded" if self.loaded else "not-loaded", "max_context_length": 131072}
        if self.loaded:
            entry["loaded_context_length"] = next(iter(self.instances.values()))
        if not self.embedding:
            entry["capabilities"] = ["tool_use"]
        return entry


class ModelRoutes:
    """Mixed into the server. `jobs` are its downloads by id; a test may change them."""

    def manage(self, exchange, path):
        """Answers a POST to one of the routes of models; False: it is none."""
        routes = {"/api/v1/models/load": self._load, "/api/v1/models/unload": self._unload,
                  "/api/v1/models/download": self._download}
        if path not in routes or not self.quirks.has_native_api:
            return False
        status, reply = routes[path](json.loads(exchange.request.body))
        exchange.json(reply, 200 if self.quirks.management_errors_are_200 else status, "Answered", x_powered_by="Express")
        return True

    @staticmethod
    def _error(status, kind, message, **more):
        return status, {"error": {"type": kind, "message": message} | more}

    def _load(self, asked):
        unknown = sorted(set(asked) - LOAD_KEYS)
        if unknown:
            return self._error(400, "invalid_request", "Unrecognized key(s) in object: " + ", ".join(f"'{key}'" for key in unknown),
                               code="unrecognized_keys")
        model = self.catalogue.get(asked["model"])
        if model is None:
            return self._error(404, "model_not_found", f"Model {asked['model']} not found.")
        time.sleep(self.load_seconds)
        if asked.get("context_length", 0) > 131072:
            return self._error(500, "internal_error", "Failed to load model. Error: it would not fit.")
        name = model.load(asked.get("context_length"))
        config = {"context_length": model.instances[name]} if asked.get("echo_load_config") else None
        return 200, {"type": "embedding" if model.embedding else "llm", "instance_id": name,
                     "load_time_seconds": 4.1, "status": "loaded"} | ({"load_config": config} if config else {})

    def _unload(self, asked):
        for model in self.catalogue.values():
            if model.instances.pop(asked.get("instance_id"), None):
                return 200, {"instance_id": asked["instance_id"]}
        return self._error(404, "model_not_found", f"No instance {asked.get('instance_id')}.")

    def _download(self, asked):
        if asked["model"] in self.catalogue:
            return 200, {"status": "already_downloaded"}
        job = f"job_{len(self.jobs):010x}"
        self.jobs[job] = {"job_id": job, "status": "downloading", "downloaded_bytes": 1048576, "total_size_bytes": 5030000000,
                          "started_at": "2026-05-01T10:00:00.000Z"}
        return 200, {"job_id": job, "status": "downloading", "total_size_bytes": 5030000000,
                     "started_at": "2026-05-01T10:00:00.000Z"}

    def download_status(self, exchange, job):
        status, reply = 200, self.jobs.get(job)
        if reply is None:
            status, reply = self._error(404, "job_not_found", f"Job {job} not found.")
        exchange.json(reply, 200 if self.quirks.management_errors_are_200 else status, "Answered")

    @staticmethod
    def extras(exchange, model, finish):
        """What the older API tells beside a reply of OpenAI's form; nothing of a request to another."""
        if not exchange.request.target.startswith("/api/v0/"):
            return {}
        words = {"stop": "eosFound", "tool_calls": "toolCalls", "length": "maxPredictedTokensReached"}
        return {"stats": {"tokens_per_second": 60.1, "time_to_first_token": 0.08, "generation_time": 0.05,
                          "stop_reason": words[finish]},
                "model_info": {"arch": "qwen3", "quant": "Q4_K_M", "format": "gguf", "context_length": model.context},
                "runtime": {"name": "llama.cpp-linux-x86_64-avx2", "version": "2.1.0", "supported_formats": ["gguf"]}}
