import {containerd} from '../helpers/containerd-program.ts';
import {processorTables} from './diff-semantics.ts';
import {semanticsSuite} from './semantics-suite.ts';

semanticsSuite(containerd('2.1', {config: `[plugins."io.containerd.monitor.container.v1.restart"]\ninterval = "500ms"\n${processorTables}`}), '2.1');
