package import TES
package import TaskCore

extension Obstacle {
    /// What the user reads where this has ended the task.
    ///
    /// - Parameter minutes: how long it lasted.
    package func cause(_ task: TESTask, minutes: Int) -> Cause {
        let lasted = "for \(minutes) minutes"
        switch (kind, part) {
        case (.image, .executor(let position)?) where position < task.executors.count:
            return .imageUnavailable(position: position, image: task.executors[position].image, reason: text)
        case (.image, let part?):
            return .cannotStart(
                reason: "the image of \(part.words) cannot be had: \(text). This server's operator has to correct it.")
        case (.configuration, let part?):
            return .cannotStart(reason: "the container of \(part.words) could not be made \(lasted): \(text)")
        case (.recorder, _), (.recorderEnds, _):
            return .cannotStart(
                reason: "\(text), \(lasted). The logs of the Pod's container trec tell this server's operator why.")
        case (.mount, _):
            return .cannotStart(reason: "its volumes or its network could not be set up \(lasted): \(text)")
        case (.volumeClaim, _): return .cannotStart(reason: "its disk was not provided \(lasted): \(text)")
        case (.nodeSelector, _):
            return .cannotStart(
                reason: """
                    no node has what it asks for besides CPU and memory, \(lasted): \(text). Ask for other zones or \
                    backend_parameters.
                    """)
        case (.admission, _): return .cannotStart(reason: "the cluster refuses its Pod: \(text)")
        case (.capacity, _): return .cannotStart(reason: "the cluster had no room for it \(lasted): \(text)")
        case (.noPod, _): return .hostLost(reason: "its Pod is gone, and the cluster makes no other one")
        case (.nodeRefusal, _): return .hostLost(reason: "its node refused it: \(text)")
        case (.image, nil), (.configuration, nil), (.neverEnds, _): return .cannotStart(reason: text)
        }
    }
}
