import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The terminal that stdin is, while lines are edited in it: without a line mode, which would cut lines at 4,095 bytes,
/// and with pastes in brackets. It is put back however the program ends or stops, if it can know of that.
enum LineTerminal {
    enum Input {
        case bytes(ArraySlice<UInt8>)
        /// The program was stopped and goes on.
        case resumed
        case ended
    }

    /// Where the handlers of signals find what they need; it stays until the program ends.
    private struct Place {
        /// Of the terminal, as it was and as it shall be.
        var before = termios()
        var wanted = termios()
        /// A pipe that tells whoever reads that the program goes on.
        var resumed: (reads: Int32, writes: Int32) = (-1, -1)
    }

    /// The address of a `Place`; 0: there is none.
    private static let place = Atomic<UInt>(0)
    /// The terminal is not as it was.
    private static let isChanged = Atomic<Bool>(false)

    private static var current: UnsafeMutablePointer<Place>? {
        UnsafeMutablePointer(bitPattern: place.load(ordering: .acquiring))
    }

    // MARK: Settings

    /// Begins, once in a program.
    /// - Returns: false when the terminal cannot be set.
    static func begin() -> Bool {
        var made = Place()
        guard tcgetattr(0, &made.before) == 0 else { return false }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return false }
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        made.resumed = (ends[0], ends[1])
        made.wanted = made.before
        made.wanted.c_iflag &= ~tcflag_t(ICRNL | INLCR | IGNCR)
        made.wanted.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN)
        withUnsafeMutableBytes(of: &made.wanted.c_cc) {
            $0[Int(VMIN)] = 1
            $0[Int(VTIME)] = 0
        }
        let kept = UnsafeMutablePointer<Place>.allocate(capacity: 1)
        kept.initialize(to: made)
        place.store(UInt(bitPattern: kept), ordering: .releasing)
        change()
        for number in [SIGTERM, SIGHUP, SIGQUIT] { signal(number, whenEnded) }
        signal(SIGTSTP, whenStopped)
        return true
    }

    /// Whether Ctrl-C, Ctrl-Z and Ctrl-\ are signals; else they are bytes as all others.
    static func setKeyboardSignals(_ areSignals: Bool) {
        guard let current else { return }
        let flag = tcflag_t(ISIG)
        if areSignals { current.pointee.wanted.c_lflag |= flag } else { current.pointee.wanted.c_lflag &= ~flag }
        change()
    }

    /// The terminal as it was. Also called in handlers of signals.
    static func restore() {
        guard isChanged.exchange(false, ordering: .acquiringAndReleasing), let current else { return }
        tcsetattr(0, TCSANOW, &current.pointee.before)
        tell("\u{1B}[?2004l")
    }

    private static func change() {
        guard let current, tcsetattr(0, TCSANOW, &current.pointee.wanted) == 0 else { return }
        if !isChanged.exchange(true, ordering: .acquiringAndReleasing) { tell("\u{1B}[?2004h") }
    }

    private static func tell(_ text: StaticString, to descriptor: Int32 = 2) {
        _ = write(descriptor, text.utf8Start, text.utf8CodeUnitCount)
    }

    // MARK: Signals

    private static let whenEnded: @convention(c) (Int32) -> Void = { number in
        restore()
        signal(number, SIG_DFL)
        raise(number)
    }

    private static let whenStopped: @convention(c) (Int32) -> Void = { number in
        restore()
        signal(number, SIG_DFL)
        // It is held back while it is handled, and has to stop the program here.
        var itself = sigset_t()
        sigemptyset(&itself)
        sigaddset(&itself, number)
        pthread_sigmask(SIG_UNBLOCK, &itself, nil)
        raise(number)
        signal(number, whenStopped)
        change()
        if let current { tell("!", to: current.pointee.resumed.writes) }
    }

    /// Stops the program and what runs with it, as Ctrl-Z does elsewhere.
    static func stop() { kill(0, SIGTSTP) }

    // MARK: Input

    /// Waits for what is typed.
    static func read() -> Input {
        guard let current else { return .ended }
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            var waiting = [
                pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
                pollfd(fd: current.pointee.resumed.reads, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waiting, 2, -1) >= 0 else {
                guard errno == EINTR else { return .ended }
                continue
            }
            if waiting[1].revents != 0 {
                _ = unistdRead(waiting[1].fd, &bytes, bytes.count)
                return .resumed
            }
            let count = unistdRead(0, &bytes, bytes.count)
            if count > 0 { return .bytes(bytes[..<count]) }
            guard count < 0, errno == EINTR || errno == EAGAIN else { return .ended }
        }
    }
}

private func unistdRead(_ descriptor: Int32, _ bytes: inout [UInt8], _ count: Int) -> Int {
    read(descriptor, &bytes, count)
}
