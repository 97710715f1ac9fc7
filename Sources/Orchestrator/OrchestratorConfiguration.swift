/// Settings of runs on one machine.
package struct OrchestratorConfiguration: Sendable {
    /// The least memory limit of a container, in bytes: real clients ask for 2 MB.
    package var memoryFloor: Int64 = 256 << 20
    /// How long a program may take to stop when its task is cancelled.
    package var stopGrace = Duration.seconds(5)
    /// Pauses before an image is pulled again whose registry was busy; as many retries as pauses.
    package var pullPauses: [Duration] = [.seconds(2), .seconds(10)]
    /// Less free space than this on the data folder's disk means that the disk is full, in bytes.
    package var leastFreeSpace: Int64 = 64 << 20
    /// Bytes kept of each output stream of an executor.
    package var captureLimit = 16 * 1024
    /// Whether a declared output that does not exist fails a task whose executors succeeded.
    package var missingOutputsFail = false
    /// Path of the shim, as the engine sees it: the folder that holds it is bound read-only.
    package var shimFolder: String
    /// Marks this server's containers.
    package var instance: String

    package init(shimFolder: String, instance: String) {
        self.shimFolder = shimFolder
        self.instance = instance
    }
}

/// Labels on everything that a server makes in an engine.
package enum Label {
    package static let instance = "poiesis.io/instance"
    package static let task = "poiesis.io/task"
    package static let attempt = "poiesis.io/attempt"
    package static let part = "poiesis.io/part"
}
