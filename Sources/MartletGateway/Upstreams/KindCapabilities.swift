import MartletDialects

/// What the models of each kind of upstream can do (specs 1.8), as far as the kind alone tells.
extension Capabilities {
    static var lmStudio: Capabilities {
        var flags = Capabilities()
        flags.thinkingControl = .effort
        flags.toolChoice = .strings
        flags.images = .data
        flags.imageTypes = ["image/png", "image/jpeg"]
        flags.jsonObject = .none
        flags.misplacesJSON = true
        flags.reasoningIn = .field("reasoning_content")
        flags.stopLimit = nil
        flags.topK = true
        flags.localSampling = .repeatPenalty
        flags.completions = []
        flags.embeddings = .text
        flags.rerank = false
        return flags
    }

    static var llamaCpp: Capabilities {
        var flags = Capabilities()
        flags.thinkingControl = .enableThinking
        flags.reasoningIn = .field("reasoning_content")
        flags.toolChoice = .strings
        flags.developerRole = true
        flags.stopLimit = nil
        flags.n = true
        flags.topK = true
        flags.localSampling = .repeatPenalty
        flags.prefill = true
        flags.parallelIsOffByDefault = true
        flags.promptProgress = true
        flags.completions = [.prompts, .tokens, .choices, .logprobs]
        return flags
    }

    /// All that the local engine does; each model is for some of it (``ModelWork``).
    static var engine: Capabilities {
        var flags = llamaCpp
        // What it reads images with (stb_image.h) knows no WebP.
        flags.imageTypes = ["image/png", "image/jpeg", "image/gif"]
        return flags
    }

    static var ollama: Capabilities {
        var flags = Capabilities()
        flags.reasoningOut = .field("reasoning")
        flags.reasoningIn = .field("reasoning")
        flags.thinkingControl = .effort
        flags.efforts = [.low, .medium, .high, .max]
        flags.toolChoice = .none
        flags.developerRole = true
        flags.systemLate = .keep
        flags.systemMany = .keep
        flags.stopLimit = nil
        flags.parallelToolCalls = false
        flags.completions = [.suffix]
        flags.embeddings = .text
        flags.rerank = false
        return flags
    }

    static var vllm: Capabilities {
        var flags = Capabilities()
        flags.reasoningOut = .field("reasoning")
        flags.reasoningIn = .field("reasoning")
        flags.thinkingControl = .enableThinking
        flags.toolChoice = .full
        flags.images = .url
        flags.stopLimit = nil
        flags.n = true
        flags.logprobs = true
        flags.topK = true
        flags.localSampling = .repetitionPenalty
        flags.schemaProfile = .guided
        flags.completions = [.prompts, .tokens, .echo, .choices, .logprobs]
        return flags
    }

    /// Takes whatever a client may say.
    static var mock: Capabilities {
        var flags = Capabilities()
        flags.toolChoice = .full
        flags.systemLate = .keep
        flags.systemMany = .keep
        flags.developerRole = true
        flags.images = .url
        flags.imageInTool = true
        flags.files = true
        flags.schemaProfile = .none
        flags.stopLimit = nil
        flags.topK = true
        flags.localSampling = .repeatPenalty
        flags.strictTools = true
        flags.prefill = true
        flags.completions = nil
        flags.embeddings = .none
        flags.rerank = false
        return flags
    }

    /// Clients of other dialects than its own two are spoken for in Responses.
    static var openAI: Capabilities {
        var flags = responses
        flags.systemMany = .keep
        flags.maxTokensField = .maxCompletionTokens
        flags.n = true
        flags.logprobs = true
        flags.textCalls = false
        flags.usage = .streamOptions
        flags.completions = Set(CompletionFeature.allCases)
        return flags
    }
}
