package import TaskCore

/// How a submission is called in the cluster.
extension SubmissionKey {
    /// The name of its Job and its PersistentVolumeClaim, and the value of its label: `poiesis-TASK-NUMBER`.
    package var objectName: String { "poiesis-\(taskID)-\(number)" }

    /// Reads ``objectName``; nil for the name of anything else.
    package init?(objectName: String) {
        guard objectName.hasPrefix("poiesis-") else { return nil }
        let rest = objectName.utf8.dropFirst(8)
        let number = rest.dropFirst(37)
        guard rest.count > 37, rest.dropFirst(36).first == UInt8(ascii: "-"),
            let id = TaskID(String(decoding: rest.prefix(36), as: UTF8.self)),
            let value = Int(String(decoding: number, as: UTF8.self)), value > 0
        else { return nil }
        self.init(taskID: id, number: value)
        // One submission has one name: no capitals, no leading zeros.
        if self.objectName != objectName { return nil }
    }

    /// What the recorder is told of its submission: `TASK/NUMBER`. It is no secret.
    package var variable: String { "\(taskID)/\(number)" }

    /// Reads ``variable``; nil for any other text.
    package init?(variable: String) {
        let halves = variable.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard halves.count == 2 else { return nil }
        self.init(objectName: "poiesis-\(halves[0])-\(halves[1])")
    }
}

/// Labels of the objects of a submission.
package enum ObjectLabel {
    package static let instance = "poiesis.io/instance"
    package static let task = "poiesis.io/task"
    package static let submission = "poiesis.io/submission"
    package static let name = "app.kubernetes.io/name"
    package static let component = "app.kubernetes.io/component"
    /// https://kueue.sigs.k8s.io/docs/reference/labels-and-annotations/
    package static let queue = "kueue.x-k8s.io/queue-name"
}
