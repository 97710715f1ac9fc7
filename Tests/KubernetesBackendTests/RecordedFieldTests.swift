import Foundation
import KubernetesAPI
import KubernetesBackend
import Testing

/// The members that TaskPods use, compared with what a real cluster answered to Pods of this shape.
@Suite("TaskPod: recorded fields")
struct RecordedFieldTests {
    private static let recordings = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared/reference/kubernetes")

    private static var hasRecordings: Bool {
        FileManager.default.fileExists(
            atPath: recordings.appending(path: "README.md").path(percentEncoded: false))
    }

    /// Members of TaskPods that no recording has, with their types: from
    /// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ and its neighbours.
    private static let unrecorded = Set(
        """
        affinity object
        affinity.nodeAffinity object
        affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution object
        affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms array
        affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[] object
        affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions array
        affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[] object
        affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[].key string
        affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[].operator string
        affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[].values array
        affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[].values[] string
        containers[].securityContext.readOnlyRootFilesystem boolean
        containers[].securityContext.runAsNonRoot boolean
        imagePullSecrets array
        imagePullSecrets[] object
        imagePullSecrets[].name string
        initContainers[].securityContext.readOnlyRootFilesystem boolean
        initContainers[].securityContext.runAsNonRoot boolean
        nodeSelector object
        nodeSelector.* string
        priorityClassName string
        runtimeClassName string
        securityContext.fsGroupChangePolicy string
        tolerations[].value string
        volumes[].hostPath object
        volumes[].hostPath.path string
        volumes[].hostPath.type string
        volumes[].nfs object
        volumes[].nfs.path string
        volumes[].nfs.server string
        volumes[].projected.sources[].configMap object
        volumes[].projected.sources[].configMap.items array
        volumes[].projected.sources[].configMap.items[] object
        volumes[].projected.sources[].configMap.items[].key string
        volumes[].projected.sources[].configMap.items[].path string
        volumes[].projected.sources[].configMap.name string
        volumes[].projected.sources[].downwardAPI object
        volumes[].projected.sources[].downwardAPI.items array
        volumes[].projected.sources[].downwardAPI.items[] object
        volumes[].projected.sources[].downwardAPI.items[].fieldRef object
        volumes[].projected.sources[].downwardAPI.items[].fieldRef.fieldPath string
        volumes[].projected.sources[].downwardAPI.items[].path string
        volumes[].projected.sources[].serviceAccountToken.audience string
        volumes[].secret object
        volumes[].secret.defaultMode number
        volumes[].secret.items array
        volumes[].secret.items[] object
        volumes[].secret.items[].key string
        volumes[].secret.items[].path string
        volumes[].secret.secretName string
        """.split(separator: "\n").map { "job.spec.template.spec.\($0)" }
    ).union([
        "job.spec.template.metadata.annotations object", "job.spec.template.metadata.annotations.* string",
    ])

    private static let maps: Set = ["annotations", "labels", "limits", "matchLabels", "nodeSelector", "requests"]

    /// `PATH TYPE` of every member.
    private func fields(_ value: Any, at path: String, into result: inout Set<String>) {
        switch value {
        case let object as [String: Any]:
            result.insert("\(path) object")
            let isMap = Self.maps.contains(path.split(separator: ".").last.map(String.init) ?? "")
            for (key, member) in object { fields(member, at: path + "." + (isMap ? "*" : key), into: &result) }
        case let array as [Any]:
            result.insert("\(path) array")
            for item in array { fields(item, at: path + "[]", into: &result) }
        case is String: result.insert("\(path) string")
        case let number as NSNumber:

            // Foundation keeps JSON's booleans as C's `char`.
            result.insert("\(path) \(String(cString: number.objCType) == "c" ? "boolean" : "number")")
        default: result.insert("\(path) null")
        }
    }

    private func recorded() throws -> Set<String> {
        var result: Set<String> = []
        let names = try FileManager.default.contentsOfDirectory(
            atPath: Self.recordings.path(percentEncoded: false))
        var count = 0
        for name in names.sorted() {
            let file = Self.recordings.appending(path: "\(name)/create.response.json")
            guard let data = try? Data(contentsOf: file) else { continue }
            let answer = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            for kind in ["job", "pvc"] where answer[kind] is [String: Any] {
                if let object = answer[kind] { fields(object, at: kind, into: &result) }
                count += 1
            }
        }
        #expect(count > 60)
        return result
    }

    private func used() throws -> Set<String> {
        var result: Set<String> = []
        for item in GoldenCase.all {
            let pod = try item.pod()
            fields(try JSONTree.value(pod.job), at: "job", into: &result)
            if let claim = pod.volumeClaim { fields(try JSONTree.value(claim), at: "pvc", into: &result) }
        }
        return result
    }

    @Test(.enabled(if: hasRecordings, "the recordings lie beside the clone in the project's workshop"))
    func everyMemberIsOneThatTheClusterKnows() throws {
        let recorded = try recorded()
        let used = try used()
        #expect(used.contains("job.spec.template.spec.initContainers[].volumeMounts[].subPath string"))
        #expect(used.subtracting(recorded).subtracting(Self.unrecorded).sorted() == [])
        // The list says what is not recorded, and nothing else.
        #expect(Self.unrecorded.subtracting(used).sorted() == [])
        #expect(Self.unrecorded.intersection(recorded).sorted() == [])
    }
}
