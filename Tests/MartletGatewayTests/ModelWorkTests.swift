import MartletDialects
import MartletGateway
import Testing

@Suite("What a model is for")
struct ModelWorkTests {
    @Test(
        "A model is asked for nothing that it is not for, and the sentence says what it is for",
        arguments: [
            (ModelWork.embeddings, nil, "real makes embeddings (POST /v1/embeddings) and writes no text; name"),
            (.ranking, nil, "real ranks documents (POST /v1/rerank) and writes no text; name"),
            (.text(seesImages: true), VectorTask.embeddings, "real writes text and makes no embeddings; name"),
            (.embeddings, .rerank, "real makes embeddings (POST /v1/embeddings) and ranks no documents; name"),
            (.text(seesImages: false), nil, nil), (.embeddings, .embeddings, nil), (.ranking, .rerank, nil),
        ] as [(ModelWork, VectorTask?, String?)])
    func work(work: ModelWork, task: VectorTask?, problem: String?) throws {
        let routes = RouteTable(
            upstreams: [Make.upstream("a", .engine)], served: ["a": ServedModels(ids: ["real"], work: ["real": work])])
        let request = Make.request(
            "{\"model\":\"real\",\"input\":\"a\",\"query\":\"q\",\"documents\":[\"d\"],\(Make.messages)}",
            endpoint: task.map { .vectors($0) } ?? .completion(.chat))
        guard case .complete(let plan) = Decider.decide(request, in: Make.snapshot(routes), mayRefresh: false) else {
            Issue.record("refused")
            return
        }
        do throws(GatewayError) {
            _ = try plan.request(for: plan.candidates[0])
            #expect(problem == nil)
        } catch {
            #expect(error.code == .invalidRequest && error.param == "model")
            #expect(problem.map { error.message.hasPrefix($0) } == true, "\(error.message)")
        }
    }

    @Test("An image for a model that cannot see is refused: the local engine's sees where it has a projector")
    func blind() {
        func decide(seesImages: Bool) -> Decision {
            let routes = RouteTable(
                upstreams: [Make.upstream("a", .engine)],
                served: ["a": ServedModels(ids: ["m"], work: ["m": .text(seesImages: seesImages)])])
            let text = "{\"model\":\"m\",\"messages\":[\(DeciderTests.image)]}"
            return Decider.decide(Make.request(text), in: Make.snapshot(routes), mayRefresh: false)
        }
        if case .refuse(let error) = decide(seesImages: true) { Issue.record("\(error.message)") }
        let decision = decide(seesImages: false)
        guard case .refuse(let error) = decision else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == .invalidRequest)
        #expect(error.message == "messages[0].content[0].image_url: this model cannot see images")
    }

    @Test("Speech for a model that cannot hear is refused; what is not known to be deaf is asked")
    func deaf() {
        func decide(_ work: ModelWork?) -> Decision {
            let routes = RouteTable(
                upstreams: [Make.upstream("a", .engine)],
                served: ["a": ServedModels(ids: ["m"], work: work.map { ["m": $0] } ?? [:])])
            let speech = "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}}"
            let text = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[\(speech)]}]}"
            return Decider.decide(Make.request(text), in: Make.snapshot(routes), mayRefresh: false)
        }
        for work in [nil, ModelWork.text(seesImages: false, hears: true)] {
            if case .refuse(let error) = decide(work) { Issue.record("\(error.message)") }
        }
        guard case .refuse(let error) = decide(.text(seesImages: true, hears: false)) else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == .invalidRequest && error.param == "messages[0].content[0].input_audio")
        #expect(error.message == "messages[0].content[0].input_audio: this model cannot hear")
    }
}
