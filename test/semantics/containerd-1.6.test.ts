import {containerd} from '../helpers/containerd-program.ts';
import {processorTables} from './diff-semantics.ts';
import {semanticsSuite} from './semantics-suite.ts';

semanticsSuite(containerd('1.6', {config: `[plugins."io.containerd.internal.v1.restart"]\ninterval = "500ms"\n${processorTables}`}), '1.6');
