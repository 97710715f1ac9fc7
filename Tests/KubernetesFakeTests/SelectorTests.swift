import KubernetesFake
import Testing

@Suite struct SelectorTests {
    private func names(_ query: String, resource: String = "configmaps") async throws -> [String] {
        let cluster = Cluster(timeline: Timeline(.stepped), runtime: ScriptedRuntime { _ in .runs() })
        await cluster.runDueNow()
        await cluster.configure { cluster in
            for (name, labels) in [("a", ["x": "1"]), ("b", ["x": "2", "y": ""]), ("c", [:])]
                as [(String, [String: String])]
            {
                cluster.insert(
                    .configmaps,
                    [
                        "metadata": [
                            "name": .string(name), "namespace": "poiesis",
                            "labels": .object(labels.mapValues(JSON.string)),
                        ]
                    ])
            }
        }
        let target = "/api/v1/namespaces/poiesis/\(resource)?\(query)"
        let answer = await cluster.answer(APIRequest(method: "GET", target: target))
        #expect(answer.status == 200)
        return answer.object["items"].items.compactMap { $0["metadata"]["name"].text }
    }

    @Test(arguments: [
        ("labelSelector=x%3D1", "a"), ("labelSelector=x%3D%3D2", "b"), ("labelSelector=x!%3D1", "bc"),
        ("labelSelector=x+in+(1,2)", "ab"), ("labelSelector=x%20notin%20(1)", "bc"), ("labelSelector=x", "ab"),
        ("labelSelector=!x", "c"), ("labelSelector=x,y%3D", "b"), ("fieldSelector=metadata.name%3Db", "b"),
        ("fieldSelector=metadata.name!%3Db", "ac"), ("", "abc"),
    ])
    func aSelectorFindsWhatItNames(_ query: String, _ expected: String) async throws {
        #expect(try await names(query).joined() == expected)
    }
}
