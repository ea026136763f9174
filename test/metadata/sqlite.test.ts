import test from 'ava';
import {metadataSuite} from '../../contracts/metadata/metadata.suite.ts';
import {sqliteInMemory} from './sqlite-in-memory.ts';

metadataSuite(test, {name: 'metadata-sqlite', supports: {sandboxes: true}, create: async () => sqliteInMemory()});
