// Clients of MQTT.js that do what they are told: one JSON command per line on stdin, one JSON event per line on stdout.
// stock.py speaks to it.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const mqtt = createRequire(path.join(here, '..', 'env', 'node', 'package.json'))('mqtt')
const clients = new Map()

const tell = (key, event, more = {}) => process.stdout.write(JSON.stringify({ key, event, ...more }) + '\n')

function properties (given = {}) {
  const told = { ...given }
  if (told.correlationData) told.correlationData = told.correlationData.toString()
  return told
}

function asked (options) {
  if (options?.properties?.correlationData) options.properties.correlationData = Buffer.from(options.properties.correlationData)
  return options
}

const commands = {
  open ({ key, host, port, options }) {
    const client = mqtt.connect({ host, port, ...options })
    clients.set(key, client)
    client.on('connect', connack => tell(key, 'connect', { present: connack.sessionPresent }))
    client.on('message', (topic, payload, packet) => tell(key, 'message', {
      topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain, properties: properties(packet.properties)
    }))
    client.on('error', () => {}) // it connects again by itself, which is what is looked at
  },
  subscribe ({ key, filter, options }) {
    clients.get(key).subscribe(filter, options, (fault, granted) => {
      if (fault) tell(key, 'fault', { what: `subscribe: ${fault.message}` })
      else tell(key, 'subscribed', { granted: granted.map(each => each.qos) })
    })
  },
  publish ({ key, topic, payload, options }) {
    clients.get(key).publish(topic, payload, asked(options), fault => {
      if (fault) tell(key, 'refused', { what: `publish: ${fault.message}`, code: fault.code })
      else tell(key, 'acknowledged')
    })
  },
  drop ({ key }) {
    const client = clients.get(key)
    client.options.reconnectPeriod = 0
    client.stream.destroy()
  },
  close ({ key }) {
    clients.get(key).end()
  }
}

createInterface({ input: process.stdin }).on('line', line => {
  const command = JSON.parse(line)
  commands[command.op](command)
}).on('close', () => process.exit(0))
