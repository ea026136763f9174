import test from 'ava';
import fc from 'fast-check';
import {parseChallenges} from '../../plugins/fetch-oci/challenge.ts';

test('one bearer challenge gives its parameters', t => {
	const [challenge] = parseChallenges('Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull,push"');
	t.is(challenge?.scheme, 'bearer');
	t.deepEqual(Object.fromEntries(challenge?.parameters ?? []), {realm: 'https://auth.example.com/token', service: 'registry.example.com', scope: 'repository:a/b:pull,push'});
});

test('several challenges in one header are told apart', t => {
	const found = parseChallenges('Negotiate, Basic realm="a \\"quoted\\" b", charset=UTF-8, , Bearer Realm=x,realm=y');
	t.deepEqual(found.map(({scheme}) => scheme), ['negotiate', 'basic', 'bearer']);
	t.is(found[1]?.parameters.get('realm'), 'a "quoted" b');
	t.is(found[1]?.parameters.get('charset'), 'UTF-8');
	t.is(found[2]?.parameters.get('realm'), 'x');
});

test('whatever a header holds, parsing ends and never throws', t => {
	fc.assert(fc.property(fc.string({maxLength: 300}), text => Array.isArray(parseChallenges(text))));
	fc.assert(fc.property(fc.array(fc.constantFrom('Bearer', ' ', ',', '=', '"', '\\', 'realm', 'x')), parts => Array.isArray(parseChallenges(parts.join('')))));
	t.deepEqual(parseChallenges('Bearer realm="never closed').map(({parameters}) => parameters.size), [0]);
});
