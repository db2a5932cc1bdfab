import MartletEngine
import Testing

@Suite("What a chat template can do")
struct TemplateAbilitiesTests {
    @Test(
        "Tools are those that a template is given",
        arguments: [
            ("{%- if tools %}x{% endif %}", true), ("{{ tools | tojson }}", true), ("{% for tool in tools %}", true),
            ("You have tools.", false), ("{{ 'tools' }}", false), ("{# tools #}", false),
            ("{{ message.tools }}", false),
            ("{% if message.tool_calls %}", false), ("{{ builtin_tools }}", false), ("{{ \"it's\" }}{{ tools }}", true),
            ("{{ 'a\\'b tools' }}", false), ("{{ x. tools }}", false), ("{{ tools", true), ("{", false), ("", false),
            ("{{ 'tools", false), ("{% set x = '%}' %} tools {{ y }}", false),
        ])
    func tools(template: String, knows: Bool) { #expect(TemplateAbilities(template).tools == knows) }

    @Test(
        "Reasoning has the options that a template knows",
        arguments: [
            ("{{ content }}", [], .off, nil),
            (
                "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>{% endif %}",
                [.off, .on], .on, "enable_thinking"
            ),
            ("{% if not enable_thinking %}", [.off, .on], .on, "enable_thinking"),
            ("{% if thinking %}{% endif %}", [.off, .on], .off, "thinking"),
            ("{% if thinking is undefined %}{% set thinking = true %}{% endif %}", [.off, .on], .on, "thinking"),
            ("{% if m.thinking %}{{ m.reasoning_content }}", [], .off, nil),
            ("{% set ns.enable_thinking = true %}", [], .off, nil),
            ("{{ '<think>' }}", [.on], .on, nil), ("text [THINK] text", [.on], .on, nil),
            ("{% set reasoning_effort = 'medium' %}{{ reasoning_effort }}", [.low, .medium, .high], .medium, nil),
            ("{{ reasoning_effort }}", [.low, .medium, .high], .medium, nil),
            (
                "{% set reasoning_effort = reasoning_effort if reasoning_effort is defined else \"high\" %}"
                    + "{% if reasoning_effort in ['low', 'minimal'] %}", [.low, .high], .high, nil
            ),
            (
                "{% if not reasoning_effort is defined %}{% set reasoning_effort = 'no_think' %}{% endif %}"
                    + "{% if reasoning_effort in ['low', 'high'] %}", [.off, .low, .high], .off, nil
            ),
            (
                "{% if enable_thinking and reasoning_effort == 'max' %}", [.off, .low, .medium, .high], .medium,
                "enable_thinking"
            ),
        ] as [(String, [TemplateAbilities.Effort], TemplateAbilities.Effort, String?)])
    func reasoning(
        template: String, allowed: [TemplateAbilities.Effort], usual: TemplateAbilities.Effort, toggle: String?
    ) throws {
        let reasoning = TemplateAbilities(template).reasoning
        #expect(reasoning?.allowed ?? [] == allowed)
        #expect(reasoning?.toggle == toggle)
        if let reasoning { #expect(reasoning.usual == usual && reasoning.allowed.contains(usual)) }
    }

    @Test(
        "A megabyte of anything is read in no time", arguments: ["{", "{{", "{{ '", "{% a ", "{#", "{{ \\", "%}", "é"])
    func large(piece: String) {
        let template = String(repeating: piece, count: (1 << 20) / piece.utf8.count)
        let took = ContinuousClock().measure { _ = TemplateAbilities(template) }
        #expect(took < .seconds(20))
    }
}
