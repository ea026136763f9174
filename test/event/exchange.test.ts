import test from 'ava';
import {eventSuite} from '../../contracts/event/event.suite.ts';
import {EventExchange} from '../../plugins/event-exchange/exchange.ts';

eventSuite(test, {name: 'event-exchange', create: () => new EventExchange()});
