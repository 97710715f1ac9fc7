package import Filer
package import LocalSystem
import Orchestrator
import TES
import TaskCore

/// How a part of a TaskPod ended: its exit status and its termination message, of at most 96 bytes.
package struct PartEnd: Hashable, Sendable {
    package var status: Int32
    package var message: String

    package init(_ status: Int32, _ message: String) {
        self.status = status
        self.message = message
    }
}

/// `poiesis tif` and `poiesis tof`: stage a task's inputs into the workspace, and upload its outputs from there.
package struct FilerPart: Sendable {
    private let folder: PodFolder
    /// Container path P lives at this + P.
    private let workspace: Folder
    private let filer: Filer
    /// How long to wait for a plan without a sign of life from the recorder.
    private let patience: Duration
    private let poll: Duration

    /// - Parameter workspace: the volume; the folder `fs` in it is made.
    package init(
        folder: PodFolder, workspace: Folder, filer: Filer, patience: Duration = .seconds(PodFolder.patience),
        poll: Duration = .milliseconds(50)
    ) throws(FileError) {
        self.folder = folder
        try workspace.makeFolders("fs", mode: 0o777)
        self.workspace = try workspace.folder("fs")
        self.filer = filer
        self.patience = patience
        self.poll = poll
    }

    /// The input filer.
    ///
    /// - Parameter shim: the folder of this program's image that holds `poiesis-exec`.
    package func stage(shim: Folder) async -> PartEnd {
        do throws(FileError) {
            let found: FilerPlan
            switch try await plan(of: .tif) {
            case .success(let value): found = value
            case .failure(let end): return end
            }
            var cause: Cause?
            do throws(FileError) {
                try folder.install(shim: shim, name: "poiesis-exec")
                try workspace.makeMountPoints(MountPlan(found.task))
            } catch { cause = Cause(error, while: "the workspace was made") }
            if cause == nil {
                cause = await filer.acting(for: found.principal).stage(found.task.inputs ?? [], into: workspace)
            }
            try folder.write(FilerResult(failure: cause.map(CauseSummary.init)), of: .tif)
            return cause.map { PartEnd(1, "1 \($0.name)") } ?? PartEnd(0, "0")
        } catch { return Self.failed(error) }
    }

    /// The output filer. It ends with 0 once its result is written, whatever that says: the recorder reads it, and decides.
    package func upload() async -> PartEnd {
        do throws(FileError) {
            let found: FilerPlan
            try folder.noteWaiting()
            switch try await plan(of: .tof) {
            case .success(let value): found = value
            case .failure(let end): return end
            }
            let report = await filer.acting(for: found.principal).upload(found.task.outputs ?? [], from: workspace)
            let result = FilerResult(report)
            try folder.write(result, of: .tof)
            return PartEnd(0, result.failure.map { "0 \($0.name)" } ?? "0")
        } catch { return Self.failed(error) }
    }

    private func plan(of part: PodFolder.Part) async throws(FileError) -> Result<FilerPlan, PartEnd> {
        var wait = RecorderWait(folder, patience)
        while !wait.isOver() {
            if let plan = try folder.plan(of: part) { return .success(plan) }
            if try folder.refusal() != nil { return .failure(PartEnd(1, "1 refused")) }
            // The attempt has ended without this part: the Pod is to end now, not when somebody looks.
            if try folder.verdict() != nil { return .failure(PartEnd(1, "1 not needed")) }
            try? await Task.sleep(for: poll)
        }
        return .failure(PartEnd(1, "1 no plan came"))
    }

    private static func failed(_ error: FileError) -> PartEnd {
        PartEnd(1, String(decoding: "1 \(error.description)".utf8.prefix(96), as: UTF8.self))
    }
}

extension PartEnd: Error {}

/// A part's wait for the recorder: as long as that lives, be the database away for hours.
private struct RecorderWait {
    private let folder: PodFolder
    private let patience: Duration
    private var pulse: [UInt8]?
    private var deadline: SuspendingClock.Instant

    init(_ folder: PodFolder, _ patience: Duration) {
        self.folder = folder
        self.patience = patience
        deadline = .now + patience
    }

    /// Whether there was no sign of life for too long.
    mutating func isOver() -> Bool {
        if let beat = (try? folder.pulse()) ?? nil, beat != pulse { (pulse, deadline) = (beat, .now + patience) }
        return SuspendingClock.now >= deadline
    }
}

extension PodFolder {
    /// Seconds without a sign of life from `trec`, after which nobody waits for it. Kubernetes waits five minutes at most before it starts a
    /// container again.
    package static let patience = 360

    /// `poiesis ack`: waits for the verdict; its exit status decides whether the Pod succeeded.
    package func acknowledge(
        patience: Duration = .seconds(PodFolder.patience), poll: Duration = .milliseconds(50)
    ) async -> PartEnd {
        var wait = RecorderWait(self, patience)
        while !wait.isOver() {
            if let status = (try? verdict()) ?? nil { return PartEnd(status, "\(status)") }
            try? await Task.sleep(for: poll)
        }
        return PartEnd(1, "1 \(Self.noVerdict)")
    }

    /// What `ack` says when it has waited in vain.
    static let noVerdict = "no verdict came"
}
