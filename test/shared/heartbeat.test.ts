import test from 'ava';
import { Silence } from '../../shared/heartbeat.js';

test('a silent side is asked once, and given up after three silent periods', (t) => {
  const silence = new Silence();
  t.is(silence.tick(), 'quiet');
  t.is(silence.tick(), 'ping');
  t.is(silence.tick(), 'quiet');
  t.is(silence.tick(), 'dead');
});

test('whatever is heard begins the count anew', (t) => {
  const silence = new Silence();
  for (let period = 0; period < 3; period += 1) silence.tick();
  silence.heard();
  t.is(silence.tick(), 'quiet');
  t.is(silence.tick(), 'ping');
  silence.heard();
  t.is(silence.tick(), 'quiet');
});
