import MartletCommands
import MartletWire
import Testing

@Suite("load")
struct LoadFormTests {
    @Test("what is not said is not asked, so that the server's own settings hold")
    func nothingSaid() {
        #expect(LoadForm(model: "m").body.text == #"{"model":"m","echo_load_config":true,"stream":true}"#)
    }

    @Test("every flag is a member of the request")
    func everythingSaid() {
        var form = LoadForm(model: "acme/writer@q4_k_m")
        form.context = 8192
        form.parallel = 2
        form.gpuLayers = 10
        form.flashAttention = .auto
        form.keyCache = "q8_0"
        form.valueCache = "f16"
        form.batch = 512
        form.threads = 3
        form.draftModel = "small"
        form.promptCache = 0
        form.cacheOnGPU = false
        form.isPinned = true
        form.ttl = 60
        form.identifier = "mine"
        #expect(
            form.body.text
                == #"{"model":"acme/writer@q4_k_m","context_length":8192,"parallel":2,"gpu_layers":10,"#
                + #""flash_attention":"auto","cache_type_k":"q8_0","cache_type_v":"f16","eval_batch_size":512,"#
                + #""threads":3,"draft_model":"small","prompt_cache":0,"offload_kv_cache_to_gpu":false,"pinned":true,"ttl":60,"identifier":"mine","echo_load_config":true,"#
                + #""stream":true}"#
        )
        form.flashAttention = .on
        #expect(form.body["flash_attention"] == true)
        form.flashAttention = .off
        #expect(form.body["flash_attention"] == false)
    }

    @Test("a refusal names the flags that were typed")
    func refusal() {
        let said = "m takes no \"ttl\" and no \"gpu_layers\" and no \"pinned\": leave that out"
        #expect(
            LoadForm.refusal(said, isLMS: false) == "m takes no --ttl and no --gpu-layers and no --pin: leave that out")
        #expect(LoadForm.refusal("no \"gpu_layers\"", isLMS: true) == "no --gpu")
        #expect(LoadForm.refusal("no \"draft_model\"", isLMS: true) == "no --speculative-draft-model")
    }

    @Test(
        "--gpu takes off, max and shares",
        arguments: [
            ("off", 0), ("max", 10_000), ("0", 0), ("1", 10_000), ("1.0", 10_000), ("0.5", 16), ("0.01", 0),
        ])
    func gpu(_ text: String, _ layers: Int) throws {
        #expect(try #require(GPUShare(text)).layers(of: 32) == layers)
    }

    @Test("--gpu takes nothing else", arguments: ["", "half", "-0.1", "1.1", "nan", "MAX"])
    func noGPU(_ text: String) { #expect(GPUShare(text) == nil) }

    @Test("a share of a model nobody knows the layers of is no number of layers")
    func unknownLayers() {
        #expect(GPUShare.ratio(0.5).layers(of: nil) == nil)
        #expect(GPUShare.max.layers(of: nil) == 10_000)
    }

    @Test("a load is followed event by event")
    func steps() throws {
        func step(_ text: String) throws -> LoadStep? { LoadStep(try JSON(parsing: text)) }
        #expect(
            try step(#"{"type":"model_load.start","model_instance_id":"m:2"}"#) == .began(instance: "m:2"))
        #expect(try step(#"{"type":"model_load.progress","model_instance_id":"m:2","progress":0.5}"#) == .progress(0.5))
        #expect(try step(#"{"type":"model_load.queued","model":"m","message":"m waits"}"#) == .waiting("m waits"))
        #expect(try step(#"{"type":"ping"}"#) == nil)
        #expect(
            try step(#"{"type":"error","error":{"type":"internal_error","message":"no room"}}"#) == .failed("no room"))
        guard
            case .ended(let loaded) = try step(
                #"{"type":"model_load.end","model_instance_id":"m:2","load_time_seconds":1.254}"#)
        else {
            Issue.record("no end")
            return
        }
        #expect(loaded.sentence(nil) == "loaded as m:2 in 1.25 s")
        #expect(
            loaded.sentence(ResidentTests.resident)
                == "loaded as m:2 in 1.25 s: context 8192 (built-in), parallel 4 (configuration), flash attention on (command), "
                + "prompt cache 9.2 MB (built-in)"
        )
        #expect(loaded.report(nil).text == #"{"status":"loaded","instance_id":"m:2","load_time_seconds":1.254}"#)
    }
}
