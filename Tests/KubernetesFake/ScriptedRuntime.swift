import Synchronization

/// What a container does in a test that has no containers.
package enum Play: Sendable {
    /// Runs as the script says; on a stepped clock the same each time.
    case script(Script)
    /// Runs a function; its time is the cluster's through `RunningContainer.sleep`.
    case program(@Sendable (RunningContainer) async -> ContainerEnd)

    /// Ends by itself after some seconds, and at once on SIGTERM with 143.
    package static func ends(_ code: Int, after seconds: Double, message: String = "") -> Play {
        .script(Script(end: ContainerEnd(code, message: message), after: seconds))
    }
    /// Runs until SIGTERM, then ends.
    package static func runs(untilTerminatedThen code: Int = 0, after seconds: Double = 0.05) -> Play {
        .script(Script(end: nil, onTerminate: ContainerEnd(code), terminateAfter: seconds))
    }
    /// Runs until SIGKILL.
    package static let ignoresSignals = Play.script(Script(end: nil, onTerminate: nil))
    /// Cannot be started.
    package static func cannotStart(_ why: String) -> Play { .script(Script(end: .startError(why), after: 0)) }
}

/// A container's life in numbers.
package struct Script: Sendable {
    /// How it ends by itself; nil: never.
    package var end: ContainerEnd?
    /// Cluster seconds until then.
    package var after: Double
    /// How it ends after SIGTERM; nil: it ignores that.
    package var onTerminate: ContainerEnd?
    /// Cluster seconds from SIGTERM until then.
    package var terminateAfter: Double
    /// Lines with the seconds after which they are written.
    package var output: [(after: Double, text: String)]

    /// A script; SIGTERM ends it with 143, unless told otherwise.
    package init(
        end: ContainerEnd?, after: Double = 0, onTerminate: ContainerEnd? = ContainerEnd(143),
        terminateAfter: Double = 0.02, output: [(after: Double, text: String)] = []
    ) {
        self.end = end
        self.after = after
        self.onTerminate = onTerminate
        self.terminateAfter = terminateAfter
        self.output = output
    }
}

/// A container that a function plays.
package final class RunningContainer: Sendable {
    /// What it was started with.
    package let start: ContainerStart
    private let timeline: Timeline
    private let state = Mutex(State())

    private struct State {
        var lines: [LogLine] = []
        var followers: [AsyncStream<[LogLine]>.Continuation] = []
        var terminated = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var over = false
    }

    init(_ start: ContainerStart, _ timeline: Timeline) { (self.start, self.timeline) = (start, timeline) }

    /// Whether SIGTERM came.
    package var isTerminated: Bool { state.withLock { $0.terminated } }

    /// Waits for SIGTERM.
    package func untilTerminated() async {
        await withCheckedContinuation { continuation in
            let now = state.withLock { state in
                if !state.terminated { state.waiting.append(continuation) }
                return state.terminated
            }
            if now { continuation.resume() }
        }
    }

    /// Waits on the cluster's clock.
    package func sleep(_ seconds: Double) async { await timeline.sleep(seconds) }

    /// Writes a line of output; a line break is added.
    package func write(_ line: String) {
        let line = LogLine(time: timeline.now, bytes: Array((line + "\n").utf8))
        let followers = state.withLock { state in
            state.lines.append(line)
            return state.followers
        }
        for follower in followers { follower.yield([line]) }
    }

    fileprivate func terminate() {
        let waiting = state.withLock { state in
            state.terminated = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns whether this is the container's first end.
    fileprivate func finish() -> Bool {
        let (first, followers) = state.withLock { state in
            defer { (state.over, state.followers) = (true, []) }
            return (!state.over, state.followers)
        }
        for follower in followers { follower.finish() }
        return first
    }

    fileprivate var output: [UInt8] { state.withLock { $0.lines.flatMap(\.bytes) } }

    fileprivate func log(follow: Bool) -> AsyncStream<[LogLine]> {
        let (stream, continuation) = AsyncStream<[LogLine]>.makeStream()
        let over = state.withLock { state in
            continuation.yield(state.lines)
            if follow && !state.over { state.followers.append(continuation) }
            return state.over
        }
        if over || !follow { continuation.finish() }
        return stream
    }
}

/// A runtime without containers: a function says what each one does.
package final class ScriptedRuntime: ContainerRuntime {
    private struct Entry {
        var container: RunningContainer
        var script: Script?
        var timeline: Timeline
        var ended: @Sendable (ContainerEnd) -> Void
    }

    private let play: @Sendable (ContainerStart) -> Play
    private let missing = Mutex<[String: String]>([:])
    private let entries = Mutex<[String: Entry]>([:])

    /// - Parameter play: says what a container does; it is asked at each start.
    package init(_ play: @escaping @Sendable (ContainerStart) -> Play) { self.play = play }

    /// Makes an image missing, with the registry's text, or there again (nil).
    package func setMissing(_ image: String, _ message: String?) { missing.withLock { $0[image] = message } }

    package func image(_ name: String) -> ImageState {
        missing.withLock { $0[name] }.map(ImageState.missing) ?? .present
    }

    package func start(
        _ container: ContainerStart, on timeline: Timeline, ended: @escaping @Sendable (ContainerEnd) -> Void
    ) {
        let running = RunningContainer(container, timeline)
        let play = play(container)
        var entry = Entry(container: running, timeline: timeline, ended: ended)
        if case .script(let script) = play { entry.script = script }
        entries.withLock { [entry] in $0[container.id] = entry }
        switch play {
        case .script(let script):
            for (seconds, text) in script.output { timeline.after(seconds) { _ in running.write(text) } }
            if let end = script.end {
                timeline.after(script.after) { [weak self] _ in self?.finish(container.id, end) }
            }
        case .program(let program):
            Task { [weak self] in
                let end = await program(running)
                self?.finish(container.id, end)
            }
        }
    }

    /// Ends a container from outside, as `kill -9` on the node or the kernel's OOM killer would.
    /// - Parameter name: the container's name; of every Pod, unless `pod` names one by its uid.
    package func end(_ name: String, pod: String? = nil, _ end: ContainerEnd) {
        let found = entries.withLock { entries in
            entries.values.filter {
                $0.container.start.name == name && (pod == nil || $0.container.start.podUID == pod)
            }.map { $0.container.start.id }
        }
        for id in found { finish(id, end) }
    }

    private func finish(_ id: String, _ end: ContainerEnd) {
        guard let entry = entries.withLock({ $0[id] }), entry.container.finish() else { return }
        var end = end
        if end.exitCode != 0, end.message.isEmpty,
            entry.container.start.spec["terminationMessagePolicy"] == "FallbackToLogsOnError"
        {
            end.message = Array(entry.container.output.suffix(2048))
        }
        entry.ended(end)
    }

    package func signal(_ id: String, _ signal: ContainerSignal) {
        guard let entry = entries.withLock({ $0[id] }) else { return }
        switch signal {
        case .kill: finish(id, ContainerEnd(137))
        case .terminate:
            entry.container.terminate()
            if let script = entry.script, let end = script.onTerminate {
                entry.timeline.after(script.terminateAfter) { [weak self] _ in self?.finish(id, end) }
            }
        }
    }

    package func log(_ id: String, follow: Bool) -> AsyncStream<[LogLine]> {
        guard let entry = entries.withLock({ $0[id] }) else { return AsyncStream { $0.finish() } }
        return entry.container.log(follow: follow)
    }

    package func removePod(_ uid: String) {
        entries.withLock { entries in entries = entries.filter { $0.value.container.start.podUID != uid } }
    }
}
