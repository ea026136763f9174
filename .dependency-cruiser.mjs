/**
 * Who may import whom. Each rule's name is the sentence that a breach prints; `test/borders` plants a breach of every one of them.
 * Errors are the one leaf of the kernel that everything may stand on, lib and the value types included.
 */

const errors = '^kernel/errors\\.ts$';
const npm = (...names) => `node_modules/(?:${names.join('|')})/`;
const suites = '\\.(?:suite|bench|test)\\.ts$';
const rooms = ['api', 'bench', 'bin', 'client', 'contracts', 'examples', 'kernel', 'lib', 'plugins', 'scripts', 'test'];
const core = {dependencyTypesNot: ['core']};

const rule = (name, comment, from, to) => ({name, comment, severity: 'error', from, to});

export default {
	forbidden: [
		rule('every-folder-has-a-rule', 'A new folder at the top needs its row in house rules first.', {pathNot: [`^(?:${rooms.join('|')})/`, 'node_modules/', '^[^/]+$']}, {}),
		rule('every-import-is-found', 'What cannot be resolved cannot be checked; examples name the package, which is installed for their test alone.', {}, {couldNotResolve: true, pathNot: '^keelson(?:/|$)'}),
		rule('nothing-goes-round', 'A circle has no order to read or to start it in.', {pathNot: '^api/gen/'}, {circular: true, viaOnly: {dependencyTypesNot: ['type-only']}}),
		rule('the-ground-stands-alone', 'lib and contracts/oci are pure parts: they know no policy.', {path: ['^lib/', '^contracts/oci/'], pathNot: suites}, {pathNot: ['^lib/', '^contracts/oci/', errors, npm('koffi')], ...core}),
		rule('only-lib-sys-calls-the-system', 'System calls go through one room that maps their errors.', {pathNot: '^(?:lib/sys|test|bench)/'}, {path: npm('koffi')}),
		rule('the-kernel-knows-nothing-of-the-house', 'You could boot a music player with it.', {path: '^kernel/', pathNot: suites}, {pathNot: ['^kernel/', npm('tsyringe', 'reflect-metadata', 'zod', 'smol-toml', 'toml-eslint-parser')], ...core}),
		rule('only-the-kernel-knows-its-container', 'Plugins get their services through the kernel.', {pathNot: '^kernel/container\\.ts$|^test/'}, {path: npm('tsyringe', 'reflect-metadata')}),
		rule('contracts-do-no-io', 'A contract is words and types; suites prove it.', {path: '^contracts/', pathNot: suites}, {dependencyTypes: ['core']}),
		rule('contracts-need-no-package', 'Whoever implements a contract chooses the packages.', {path: '^contracts/', pathNot: suites}, {path: 'node_modules/'}),
		rule('contracts-stand-on-tokens-and-values', 'A contract knows neither rooms nor the wire.', {path: '^contracts/', pathNot: suites}, {pathNot: ['^contracts/', '^kernel/(?:contract|errors|index)\\.ts$', 'node_modules/'], ...core}),
		rule('contracts-share-only-values', 'Another contract may be named in a type, never called.', {path: '^contracts/([^/]+)/', pathNot: suites}, {path: '^contracts/', pathNot: ['^contracts/$1/', '^contracts/oci/'], dependencyTypesNot: ['type-only']}),
		rule('the-fetch-contract-never-knows-storage', 'Descriptors in, bytes out: where they go is not its matter.', {path: '^contracts/fetch/'}, {path: '^contracts/(?:content|snapshot|diff|metadata|transfer)/'}),
		rule('plugins-never-meet', 'Rooms meet through contracts alone.', {path: '^plugins/([^/]+)/'}, {path: '^plugins/', pathNot: '^plugins/$1/'}),
		rule('plugins-stand-on-kernel-contracts-and-lib', 'Nothing else of the house is theirs.', {path: '^plugins/([^/]+)/'}, {pathNot: ['^plugins/$1/', '^plugins/', '^kernel/', '^contracts/', '^lib/', '^api/', 'node_modules/'], ...core}),
		rule('plugins-bring-only-their-own-packages', 'A package belongs to the one job that needs it.', {path: '^plugins/(?!grpc-|proxy-grpc|diff-tar|transfer-|fetch-)'}, {path: 'node_modules/', pathNot: npm('zod')}),
		rule('fetch-never-knows-storage', 'A fetcher that knew a store could fetch for nobody else.', {path: '^plugins/fetch-'}, {path: '^contracts/(?:content|snapshot|diff|metadata|transfer)/'}),
		rule('fetch-reads-only-its-own-config', 'Its files are hosts.toml, certificates and credentials.', {path: '^plugins/fetch-', pathNot: '/(?:hosts|certificates|credentials|docker-config)[^/]*\\.ts$'}, {path: '^(?:node:)?fs(?:/promises)?$'}),
		rule('mounting-never-knows-snapshots', 'Mounts are values: whoever performs them need not know who produced them.', {path: '^(?:plugins|contracts)/mount-', pathNot: suites}, {path: '^contracts/(?:content|snapshot|diff|fetch|transfer)/'}),
		rule('only-adapters-know-the-wire', 'Protobuf ends at the adapters; the shim has its own messages.', {pathNot: '^(?:api|client|test|bench|plugins/(?:grpc-[^/]+|proxy-grpc|shim|metrics-cgroups))/'}, {path: '^api/'}),
		rule('metrics-read-only-numbers-of-control-groups', 'What a shim says of a container is a message; the rest of the wire is not theirs.', {path: '^plugins/metrics-cgroups/'}, {path: '^api/', pathNot: '^api/gen/(?:cgroups|google)/'}),
		rule('the-shim-knows-only-its-own-messages', 'What the shim loads, each shim pays for.', {path: '^plugins/shim/'}, {path: '^api/', pathNot: '^api/(?:gen/(?:runtime|events|types|cgroups|google|services/ttrpc)|convert)/'}),
		rule('only-adapters-speak-grpc', 'Everyone else throws errors and returns values.', {pathNot: '^(?:client|test|bench|plugins/(?:grpc-[^/]+|proxy-grpc))/'}, {path: npm('@grpc/grpc-js')}),
		rule('the-shim-stays-small', 'Its memory is multiplied by the shims of a host.', {path: '^bin/containerd-shim-'}, {path: [npm('zod', 'tsyringe', 'reflect-metadata', '@grpc/grpc-js', 'undici'), '^kernel/boot\\.ts$'], reachable: true}),
		rule('bin-only-joins', 'Composition roots hold no logic.', {path: '^bin/'}, {pathNot: ['^bin/', '^kernel/', '^lib/', '^client/', '^plugins/(?:shim|runtime-runc)/', '^package\\.json$'], ...core}),
		rule('the-client-stands-on-the-wire', 'It drives any daemon that speaks this API.', {path: '^client/'}, {pathNot: ['^client/', '^api/', '^contracts/oci/', '^lib/tar/', errors, npm('@grpc/grpc-js', '@bufbuild/protobuf')], ...core}),
		rule('the-wire-stands-on-values', 'Generated code and conversions know no room.', {path: '^api/'}, {pathNot: ['^api/', '^contracts/', errors, npm('@bufbuild/protobuf')], ...core}),
		rule('examples-import-the-package', 'They are written as a stranger would.', {path: '^examples/([^/]+)/'}, {pathNot: ['^examples/$1/', '^keelson(?:/|$)', 'node_modules/'], ...core}),
		rule('what-ships-needs-no-development-package', 'It would not be there where the package is installed.', {pathNot: ['^(?:bench|examples|scripts|test)/', suites, '^[^/]+$']}, {dependencyTypes: ['npm-dev']}),
		rule('scripts-stand-on-build-tools', 'What builds and checks the house is no part of it.', {path: '^scripts/'}, {pathNot: ['^scripts/', '^lib/', npm('rolldown', 'typescript')], ...core}),
		rule('nothing-stands-on-tests', 'What is shipped does not import what proves it.', {pathNot: ['^(?:test|bench)/', suites]}, {path: '^(?:test|bench)/'}),
	],
	options: {
		doNotFollow: {path: 'node_modules'},
		exclude: {path: ['^build/', '^examples/[^/]+/node_modules/', '^test/fixtures/']},
		tsConfig: {fileName: 'tsconfig.json'},
		// Type imports count: a type is knowledge too.
		tsPreCompilationDeps: true,
		enhancedResolveOptions: {exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'], extensions: ['.ts', '.js', '.mjs', '.json']},
		extraExtensionsToScan: [],
	},
};
