import MartletEngine
import MartletGateway
import MartletServer
import MartletWire
import NIOCore
import Testing

@Suite("A request to load a model")
struct LoadBodyTests {
    private func read(_ body: String) throws -> LoadBody { try LoadBody(ByteBuffer(string: body)) }

    @Test("Every load setting can be said, in LM Studio's words where it has some")
    func everything() throws {
        let body = try read(
            """
            {"model": "m", "context_length": 4096, "eval_batch_size": 128, "flash_attention": true,
             "offload_kv_cache_to_gpu": false, "parallel": 3, "gpu_layers": "max", "cache_type_k": "q8_0",
             "cache_type_v": "Q4_0", "threads": 6, "draft_model": "tiny", "prompt_cache": 1048576, "pinned": true, "ttl": 60,
             "identifier": "mine", "stream": true, "echo_load_config": true, "num_experts": 4}
            """)
        var wanted = LoadSettings()
        wanted.context = .tokens(4096)
        wanted.batch = 128
        wanted.flashAttention = .on
        wanted.cacheOnGPU = false
        wanted.parallel = 3
        wanted.gpuLayers = 10_000
        wanted.keyCache = .q8_0
        wanted.valueCache = .q4_0
        wanted.threads = 6
        wanted.experts = 4
        wanted.draftModel = "tiny"
        wanted.promptCache = 1 << 20
        wanted.keepAlive = .idle(.seconds(60))
        wanted.isPinned = true
        #expect(body.settings == wanted)
        #expect(body.model == "m")
        #expect(body.identifier == "mine")
        #expect(body.streams && body.echoes)
        #expect(try read(#"{"model":"m"}"#).settings == LoadSettings())
        #expect(try read(#"{"model":"m","gpu_layers":"off","flash_attention":"auto"}"#).settings.gpuLayers == 0)
        #expect(try read(#"{"model":"m","gpu_layers":12}"#).settings.gpuLayers == 12)
    }

    @Test("Who gives it too long a name is told how long it may be")
    func longIdentifier() {
        let name = String(repeating: "n", count: 2000)
        let error = #expect(throws: NativeError.self) { try read(#"{"model":"m","identifier":"\#(name)"}"#) }
        #expect(error?.message.contains("a name of at most 512 bytes ") == true)
    }

    @Test(
        "What cannot be meant is refused by name",
        arguments: [
            ("[]", nil), (#"{"model":7}"#, "model"), (#"{"model":""}"#, "model"),
            (#"{"model":"m","parallel":0}"#, "parallel"), (#"{"model":"m","ttl":0}"#, "ttl"),
            (#"{"model":"m","gpu_layers":"many"}"#, "gpu_layers"), (#"{"model":"m","stream":1}"#, "stream"),
            (#"{"model":"m","identifier":"a\nb"}"#, "identifier"), (#"{"model":"m","gpu":"max"}"#, "gpu"),
            (#"{"model":"m","num_experts":0}"#, "num_experts"), (#"{"model":"m","prompt_cache":-1}"#, "prompt_cache"),
            (#"{"model":"m","identifier":"--model"}"#, "identifier"),
        ])
    func refused(_ body: String, _ param: String?) throws {
        let error = #expect(throws: NativeError.self) { try read(body) }
        #expect(error?.status == 400)
        #expect(error?.type == "invalid_request")
        #expect(error?.param == param)
    }
}

@Suite("A load that is told as it goes on")
struct LoadStreamTests {
    private func progress(_ phase: LoadProgress.Phase, _ fraction: Double?) -> LoadProgress {
        LoadProgress(phase: phase, name: "m:2", fraction: fraction, elapsed: .seconds(1), sentence: "m waits")
    }

    @Test("It begins once the model is loading, and gives each fraction and the end")
    func events() async throws {
        let stream = LoadStream { feed in
            feed.tell(progress(.queued, nil))
            feed.tell(progress(.loading, nil))
            feed.tell(progress(.loading, 0.5))
            feed.tell(progress(.loading, 2.0 / 3))
            feed.tell(progress(.ready, 1))
            feed.say("model_load.end", [:])
        }
        var text = ""
        var place = 0
        while true {
            let batch = await stream.events(from: place)
            text += String(buffer: batch.bytes)
            guard let rest = batch.rest else { break }
            place = rest.place
        }
        #expect(
            text == """
                event: model_load.queued
                data: {"model":"m:2","message":"m waits","type":"model_load.queued"}

                event: model_load.start
                data: {"model_instance_id":"m:2","type":"model_load.start"}

                event: model_load.progress
                data: {"model_instance_id":"m:2","progress":0.5,"type":"model_load.progress"}

                event: model_load.progress
                data: {"model_instance_id":"m:2","progress":0.667,"type":"model_load.progress"}

                event: model_load.progress
                data: {"model_instance_id":"m:2","progress":1.0,"type":"model_load.progress"}

                event: model_load.end
                data: {"type":"model_load.end"}


                """)
    }

    @Test("When its reader leaves, or forgets it, the load is stopped", arguments: [true, false])
    func stops(leaves: Bool) async throws {
        let (stopped, tell) = AsyncStream<Void>.makeStream()
        let (waiting, wait) = AsyncStream<Void>.makeStream()
        var stream: LoadStream? = LoadStream { _ in
            for await _ in waiting {}
            if Task.isCancelled { tell.yield() }
            tell.finish()
        }
        if leaves, let stream {
            let reader = Task { await stream.events(from: 0) }
            reader.cancel()
            #expect(await reader.value.bytes.readableBytes == 0)
        }
        if !leaves { stream = nil }
        var count = 0
        for await _ in stopped { count += 1 }
        #expect(count == 1)
        wait.finish()
        #expect(stream == nil || leaves)
    }
}
