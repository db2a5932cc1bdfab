/// Why an engine could not be found, installed, started or kept running.
package struct EngineError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which kind of failure; more may be added.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        package let description: String

        private init(_ description: String) { self.description = description }

        /// No llama-server is configured, on `PATH` or installed.
        package static let notInstalled = Code("engine_not_installed")
        /// The named engine is there but does not run.
        package static let launchFailed = Code("engine_launch_failed")
        package static let noSuchModel = Code("engine_no_such_model")
        /// A model's file is not what it should be, as far as its header tells.
        package static let unreadableModel = Code("engine_unreadable_model")
        /// A model's file is cut short, or parts of it are missing: downloading it again helps.
        package static let incompleteModel = Code("engine_incomplete_model")
        /// What shall be removed lies outside the folder of models, or behind a link.
        package static let outsideModels = Code("engine_outside_models")
        /// What shall be removed is being downloaded.
        package static let underWay = Code("engine_under_way")
        /// What shall be imported cannot be, or not in that way.
        package static let notImportable = Code("engine_not_importable")
        /// Another file, model or instance has the name that one shall get.
        package static let nameTaken = Code("engine_name_taken")
        /// The engine ended, or said that it cannot, before the model was ready.
        package static let loadFailed = Code("engine_load_failed")
        package static let loadTimedOut = Code("engine_load_timed_out")
        /// The engine ended by itself after it had been ready.
        package static let exited = Code("engine_exited")
        /// Loading failed repeatedly a moment ago; the message says when it is tried again.
        package static let backingOff = Code("engine_backing_off")
        /// A bound is reached: resident models, or requests waiting for one.
        package static let atCapacity = Code("engine_at_capacity")
        /// More memory than there can be for it; the message has the numbers and what to change.
        package static let doesNotFit = Code("engine_does_not_fit")
        /// A load setting cannot be what it was set to; the message says what it may be.
        package static let badSetting = Code("engine_bad_setting")
        /// The configuration loads a model in a way that cannot be; the message names the key.
        package static let badConfiguration = Code("engine_bad_configuration")
        package static let cancelled = Code("engine_cancelled")
        package static let noPython = Code("engine_no_python")
        package static let noPip = Code("engine_no_pip")
        package static let indexUnreachable = Code("engine_index_unreachable")
        /// The package has no wheel for this platform or Python.
        package static let noWheel = Code("engine_no_wheel")
        package static let hashMismatch = Code("engine_hash_mismatch")
        package static let installFailed = Code("engine_install_failed")
        /// Programs that a source build needs are missing; the message names them.
        package static let missingTools = Code("engine_missing_tools")
        package static let buildFailed = Code("engine_build_failed")
        package static let diskFull = Code("engine_disk_full")
        package static let fileSystem = Code("engine_file_system")
    }

    /// How the message of ``Code/incompleteModel`` ends.
    package static let again = ": download it again"

    package var code: Code
    /// A finished sentence: what failed, which, and what to do.
    package var message: String
    /// The last lines the process printed, oldest first; empty when there was none. Bounded by ``OutputTail``.
    package var logTail: [String]
    /// How long until a retry can succeed; nil when waiting does not help.
    package var retryAfter: Duration?
    /// Of ``Code/badSetting``: which one, where it is one.
    package var setting: String?

    package init(
        _ code: Code, _ message: String, logTail: [String] = [], retryAfter: Duration? = nil, setting: String? = nil
    ) {
        self.setting = setting
        self.code = code
        self.message = message
        self.logTail = logTail
        self.retryAfter = retryAfter
    }

    package var description: String { message }
}
