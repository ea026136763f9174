import {keelson} from '../helpers/keelson-program.ts';
import {processorTables} from './diff-semantics.ts';
import {semanticsSuite} from './semantics-suite.ts';

// By the older of both ids, as configurations of containerd 1.x have it.
semanticsSuite(keelson({config: `[plugins."io.containerd.internal.v1.restart"]\ninterval = "500ms"\n${processorTables}`}));
