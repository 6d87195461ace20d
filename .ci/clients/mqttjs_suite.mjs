// MQTT.js, MQTT 3.1.1 and 5. Arguments: host, port, and `plain` for brokers without trees.
// Prints `ok <name>` or `not ok <name>: <why>` for each check.

import { createRequire } from 'node:module'
import { randomUUID } from 'node:crypto'
import assert from 'node:assert/strict'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const mqtt = createRequire(path.join(here, '..', 'env', 'node', 'package.json'))('mqtt')
const [host, port, mode] = process.argv.slice(2)
const WAIT_MS = 10_000

const unique = (prefix = 't') => prefix + randomUUID().replaceAll('-', '').slice(0, 12)

function within (promise, what, ms = WAIT_MS) {
  let timer
  const late = new Promise((_resolve, reject) => { timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

class Client {
  static async open (version, options = {}) {
    const self = new Client()
    self.got = []
    self.waiting = []
    self.reason = undefined
    self.mqtt = mqtt.connect({ host, port: Number(port), protocolVersion: version, reconnectPeriod: 0, clientId: unique('js'), ...options })
    self.mqtt.on('message', (topic, payload, packet) => {
      const waiter = self.waiting.shift()
      waiter ? waiter({ topic, payload, packet }) : self.got.push({ topic, payload, packet })
    })
    self.mqtt.on('disconnect', packet => { self.reason = packet.reasonCode })
    self.mqtt.on('error', () => {})
    self.closed = new Promise(resolve => self.mqtt.once('close', resolve))
    self.connack = await within(new Promise((resolve, reject) => {
      self.mqtt.once('connect', resolve)
      self.mqtt.once('error', reject)
    }), 'CONNACK')
    return self
  }

  async subscribe (topic, qos = 0, intent) {
    const options = intent ? { qos, properties: { userProperties: { mote: intent } } } : { qos }
    const granted = await within(this.mqtt.subscribeAsync(topic, options), 'SUBACK')
    assert.equal(granted[0].qos, qos)
  }

  publish (topic, payload, qos = 1, retain = false, intent) {
    const options = { qos, retain }
    if (intent) options.properties = { userProperties: { mote: intent } }
    return within(this.mqtt.publishAsync(topic, payload, options), 'acknowledgement')
  }

  next () {
    if (this.got.length) return this.got.shift()
    return within(new Promise(resolve => this.waiting.push(resolve)), 'message')
  }

  async take (topic, payload, wanted = {}) {
    const { topic: gotTopic, payload: gotPayload, packet } = await this.next()
    assert.ok(gotTopic === topic, `topic: got ${gotTopic.slice(0, 80)}, wanted ${topic.slice(0, 80)}`)
    assert.ok(Buffer.from(payload).equals(gotPayload), `payload: got ${gotPayload.subarray(0, 80)}, wanted ${payload.slice(0, 80)}`)
    if ('qos' in wanted) assert.equal(packet.qos, wanted.qos, 'QoS')
    if ('retain' in wanted) assert.equal(packet.retain, wanted.retain, 'RETAIN')
    return packet
  }

  async takeTree (topic, value, wanted = {}) {
    const { topic: gotTopic, payload, packet } = await this.next()
    assert.equal(gotTopic, topic)
    assert.deepEqual(JSON.parse(payload.toString()), value)
    if ('retain' in wanted) assert.equal(packet.retain, wanted.retain, 'RETAIN')
    return packet
  }

  async nothing (ms = 300) {
    await new Promise(resolve => setTimeout(resolve, ms))
    assert.equal(this.got.length, 0, `an unexpected message on ${this.got[0]?.topic.slice(0, 80)}`)
  }

  async cut () {
    this.mqtt.stream.destroy()
    await within(this.closed, 'end of the connection')
  }

  close () {
    return within(this.mqtt.endAsync(), 'end')
  }
}

const session = (version, clientId, clean = false) =>
  version === 5 ? { clientId, clean, properties: { sessionExpiryInterval: clean ? 0 : 600 } } : { clientId, clean }

async function connect (version) {
  const client = await Client.open(version)
  assert.equal(client.connack.sessionPresent, false)
  await client.close()
}

async function wildcards (version) {
  const root = unique()
  const [plus, hash, publisher] = [await Client.open(version), await Client.open(version), await Client.open(version)]
  await plus.subscribe(`${root}/+/x`)
  await hash.subscribe(`${root}/#`)
  for (const topic of [`${root}/a/x`, `${root}/a/y`, root, `${root}/b/x`, `${root}o/b/x`]) await publisher.publish(topic, topic)
  for (const topic of [`${root}/a/x`, `${root}/b/x`]) await plus.take(topic, topic)
  for (const topic of [`${root}/a/x`, `${root}/a/y`, root, `${root}/b/x`]) await hash.take(topic, topic)
  await plus.nothing()
  await hash.nothing(0)
  await Promise.all([plus.close(), hash.close(), publisher.close()])
}

async function qosLevels (version) {
  const root = unique()
  const publisher = await Client.open(version)
  for (const granted of [0, 1, 2]) {
    const subscriber = await Client.open(version)
    await subscriber.subscribe(`${root}/q`, granted)
    for (const sent of [0, 1, 2]) {
      for (let number = 0; number < 20; number++) await publisher.publish(`${root}/q`, `${sent} ${number}`, sent)
      for (let number = 0; number < 20; number++) {
        await subscriber.take(`${root}/q`, `${sent} ${number}`, { qos: Math.min(sent, granted), retain: false })
      }
    }
    await subscriber.close()
  }
  await publisher.close()
}

async function retained (version) {
  const topic = unique() + '/r'
  const publisher = await Client.open(version)
  for (const [payload, qos] of [['one', 1], ['two', 0], ['three', 2]]) await publisher.publish(topic, payload, qos, true)
  const subscriber = await Client.open(version)
  await subscriber.subscribe(topic, 1)
  await subscriber.take(topic, 'three', { retain: true })
  await publisher.publish(topic, '', 1, true)
  await subscriber.take(topic, '', { retain: false })
  const later = await Client.open(version)
  await later.subscribe(topic, 1)
  await later.nothing()
  await Promise.all([subscriber.close(), later.close(), publisher.close()])
}

async function will (version) {
  const topic = unique() + '/will'
  const subscriber = await Client.open(version)
  await subscriber.subscribe(topic, 1)
  const dying = await Client.open(version, { will: { topic, payload: Buffer.from('gone'), qos: 1, retain: false } })
  await dying.cut()
  await subscriber.take(topic, 'gone', { qos: 1, retain: false })
  await subscriber.close()
}

async function takeover (version) {
  const [topic, clientId] = [unique() + '/t', unique('same')]
  const first = await Client.open(version, { clientId })
  const second = await Client.open(version, { clientId })
  await within(first.closed, 'end of the first connection')
  if (version === 5) assert.equal(first.reason, 0x8E)
  await second.subscribe(topic, 1)
  await second.publish(topic, 'to the second')
  await second.take(topic, 'to the second')
  await second.close()
}

async function resumed (version) {
  const [topic, clientId] = [unique() + '/s', unique('keep')]
  const publisher = await Client.open(version)
  const first = await Client.open(version, session(version, clientId))
  assert.equal(first.connack.sessionPresent, false)
  await first.subscribe(topic, 2)
  await first.close()
  for (let number = 0; number < 20; number++) await publisher.publish(topic, `${number}`, number % 2 + 1)
  const second = await Client.open(version, session(version, clientId))
  assert.equal(second.connack.sessionPresent, true)
  // a client shows a QoS 2 message when its PUBREL has come, so only the order within one QoS can be seen
  const numbers = { 1: [], 2: [] }
  for (let count = 0; count < 20; count++) {
    const { payload, packet } = await second.next()
    numbers[packet.qos].push(Number(payload.toString()))
  }
  const every = [...Array(20).keys()]
  assert.deepEqual(numbers, { 1: every.filter(n => n % 2 === 0), 2: every.filter(n => n % 2 === 1) })
  await second.close()
  const third = await Client.open(version, session(version, clientId, true))
  assert.equal(third.connack.sessionPresent, false)
  await Promise.all([third.close(), publisher.close()])
}

async function largePackets (version) {
  const topic = unique() + '/large'
  const payload = Buffer.alloc(1 << 20, 'mote,tree')
  const [subscriber, publisher] = [await Client.open(version), await Client.open(version)]
  await subscriber.subscribe(topic, 2)
  for (const qos of [0, 1, 2]) {
    await publisher.publish(topic, payload, qos)
    await subscriber.take(topic, payload, { qos })
  }
  await Promise.all([subscriber.close(), publisher.close()])
}

async function longTopics (version) {
  const topic = unique().padEnd(65_535, 'x')
  const [subscriber, publisher] = [await Client.open(version), await Client.open(version)]
  await subscriber.subscribe(topic, 1)
  await publisher.publish(topic, 'here', 1, true)
  await subscriber.take(topic, 'here', { qos: 1 })
  await publisher.publish(topic, '', 1, true)
  await subscriber.take(topic, '')
  await Promise.all([subscriber.close(), publisher.close()])
}

async function tree (version) {
  const root = unique()
  const [merged, plain, publisher] = [await Client.open(version), await Client.open(version), await Client.open(version)]
  await merged.subscribe(`$tree/${root}/bedroom/+`, 1)
  await plain.subscribe(`${root}/bedroom/#`, 1)
  const value = { is_on: 1, brightness: 55, color: '#FFFFFF' }
  await publisher.publish(`$tree/${root}/bedroom`, JSON.stringify(value), 1, true)
  await merged.takeTree(`${root}/bedroom/+`, value, { retain: false })
  const rows = {}
  for (const _ of Object.keys(value)) {
    const { topic, payload } = await plain.next()
    rows[topic] = payload.toString()
  }
  assert.deepEqual(rows, { [`${root}/bedroom/is_on`]: '1', [`${root}/bedroom/brightness`]: '55', [`${root}/bedroom/color`]: '#FFFFFF' })
  await merged.nothing(200)
  await Promise.all([merged.close(), plain.close(), publisher.close()])
}

async function sync (version) {
  const root = unique()
  const [merged, publisher] = [await Client.open(version), await Client.open(version)]
  await publisher.publish(`${root}/bedroom/is_on`, '1', 1, true)
  await publisher.publish(`${root}/livingroom/is_on`, '0', 1, true)
  await merged.subscribe(`$sync/${root}/+/is_on`, 1)
  await merged.takeTree(`${root}/+/is_on`, { bedroom: 1, livingroom: 0 }, { retain: true })
  await publisher.publish(`${root}/livingroom/is_on`, '1', 1, true)
  await merged.takeTree(`${root}/+/is_on`, { livingroom: 1 }, { retain: false })
  if (version === 5) {
    const asked = await Client.open(version)
    await asked.subscribe(`${root}/#`, 1, 'sync')
    await asked.takeTree(`${root}/#`, { bedroom: { is_on: 1 }, livingroom: { is_on: 1 } }, { retain: true })
    await asked.close()
  }
  await Promise.all([merged.close(), publisher.close()])
}

const basic = [connect, wildcards, qosLevels, retained, will, takeover, resumed, largePackets, longTopics]
const checks = mode === 'plain' ? basic : [...basic, tree, sync]
for (const [version, name] of [[4, '3.1.1'], [5, '5']]) {
  for (const check of checks) {
    try {
      await check(version)
      console.log(`ok ${name} ${check.name}`)
    } catch (fault) {
      console.log(`not ok ${name} ${check.name}: ${String(fault.message).replaceAll('\n', ' ').slice(0, 500)}`)
    }
  }
}
process.exit(0)
