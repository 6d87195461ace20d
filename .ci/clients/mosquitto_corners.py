"""mosquitto_sub, mosquitto_pub and mosquitto_rr with properties (`-V 5 -D ...`) and the options that only few use.

    mosquitto_corners.py [SHARDS]      default 4 shards
"""

import subprocess
import sys
import time

import stock
from broker import Broker
from checks import WAIT_S, alone, eventually, same, unique
from mosquitto_suite import Sub, once, pub
from packets import V5

TOOL, VERSION = "mosquitto", "mqttv5"
COUNT = 5
DELAY_S = 2
SLACK_S = 3
# content type, format, expiry, response topic, correlation data, identifier, user properties, RETAIN, QoS, payload
EVERYTHING = "%C|%F|%E|%R|%D|%S|%P|%r|%q|%p"


def sub(address, *arguments):
    return Sub(TOOL, address, VERSION, *arguments)


def send(address, topic, payload, *arguments):
    pub(TOOL, address, VERSION, "-q", "1", "-t", topic, "-m", payload, *arguments)


def properties(address):
    topic = unique() + "/p"
    with sub(address, "-F", EVERYTHING, "-q", "2", "-t", topic, "-D", "subscribe", "subscription-identifier", "268435455",
             "-D", "subscribe", "user-property", "why", "not") as reader:
        sent = {"content-type": "text/plain", "payload-format-indicator": "1", "message-expiry-interval": "300",
                "response-topic": "answer/here", "correlation-data": "c-1", "topic-alias": "3"}
        asked = [part for name, value in sent.items() for part in ("-D", "publish", name, value)]
        for name, value in (("b", "1"), ("a", "2"), ("b", "ü")):
            asked += ["-D", "publish", "user-property", name, value]
        for qos in (0, 1, 2):
            pub(TOOL, address, VERSION, "-q", str(qos), "-t", topic, "-m", "pay", *asked)
        eventually(lambda: len(reader.lines) == 3, f"three lines, got {reader.lines}")
        for qos, line in enumerate(reader.lines):
            expiry = line.split("|")[2]
            same(295 <= int(expiry) <= 300, True, f"Message Expiry Interval {expiry}")
            rest = line.replace(f"|{expiry}|", "|300|", 1)
            same(rest, f"text/plain|1|300|answer/here|c-1|268435455|b:1 a:2 b:ü|0|{qos}|pay", "what arrived")


def connect_properties(address):
    """A Maximum Packet Size is kept to, [MQTT-3.1.2-24]; request and response information change nothing. No Topic Alias
    Maximum: mosquitto_sub 2.0 would say one and then not know the topic."""
    topic = unique() + "/c"
    asked = {"maximum-packet-size": "1000", "receive-maximum": "2", "request-problem-information": "0",
             "request-response-information": "1", "session-expiry-interval": "600"}
    options = [part for name, value in asked.items() for part in ("-D", "connect", name, value)]
    with sub(address, *options, "-D", "connect", "user-property", "a", "b", "-q", "1", "-t", topic) as reader:
        send(address, topic, "x" * 2000)
        for number in range(COUNT):
            send(address, topic, f"{number}")
        reader.take(*[str(number) for number in range(COUNT)])


def session_expiry(address):
    """[MQTT-3.1.2-23]: the session is there for as long as was asked; DISCONNECT can change it."""
    lasting = ("-D", "connect", "session-expiry-interval", "600")
    for ending, there in ((lasting, True), ((*lasting, "-D", "disconnect", "session-expiry-interval", "0"), False), (("-x", "1"), False)):
        topic, name = unique() + "/s", unique("keep")
        # it ends by itself, with a DISCONNECT, as soon as it is subscribed
        same(once(TOOL, address, VERSION, "-i", name, *ending, "-q", "1", "-t", topic, "-E"), b"", "lines")
        send(address, topic, "first")
        if "-x" in ending:
            time.sleep(DELAY_S)
        with sub(address, "-i", name, "-c", "-q", "1", "-t", topic) as reader:
            send(address, topic, "second")
            reader.take(*(["first"] if there else []), "second")


def resumed(address):
    """-c -i: what came in between is there, once, and in order. A QoS 2 message is shown when its PUBREL has come, so
    only the order within one QoS can be seen."""
    topic, name = unique() + "/r", unique("keep")
    keep = ("-i", name, "-c", "-q", "2", "-t", topic, "-F", "%q %p")
    for round_ in range(3):
        with sub(address, *keep) as reader:
            if round_:
                eventually(lambda: len(reader.lines) >= COUNT, f"{COUNT} lines, got {reader.lines}")
                same(sorted(reader.lines), sorted(f"{1 + number % 2} {round_ - 1}.{number}" for number in range(COUNT)), "lines")
                for qos in (1, 2):
                    of_it = [line for line in reader.lines if line.startswith(str(qos))]
                    same(of_it, sorted(of_it), f"order of QoS {qos}")
            reader.kill()
        for number in range(COUNT):
            pub(TOOL, address, VERSION, "-q", str(1 + number % 2), "-t", topic, "-m", f"{round_}.{number}")


def message_expiry(address):
    """[MQTT-3.3.2-5] and [MQTT-3.3.2-6]: what is too old is not sent, what is not says how old it may yet become."""
    topic, name = unique() + "/e", unique("keep")
    keep = ("-i", name, "-c", "-q", "1", "-t", topic, "-F", "%p %E")
    sub(address, *keep).kill()
    send(address, topic, "short", "-D", "publish", "message-expiry-interval", "1")
    send(address, topic, "long", "-D", "publish", "message-expiry-interval", "100")
    send(address, topic + "/kept", "short", "-r", "-D", "publish", "message-expiry-interval", "1")
    send(address, topic + "/kept2", "long", "-r", "-D", "publish", "message-expiry-interval", "100")
    time.sleep(DELAY_S)
    with sub(address, *keep) as reader:
        eventually(lambda: reader.lines, "a line")
        word, left = reader.lines[0].split()
        same(word, "long", "the first message")
        same(90 <= int(left) <= 99, True, f"Message Expiry Interval {left} after {DELAY_S} s")
    with sub(address, "-t", topic + "/#", "-F", "%p %E %r") as reader:
        eventually(lambda: reader.lines, "a retained line")
        word, left, retain = reader.lines[0].split()
        same((word, retain, len(reader.lines)), ("long", "1", 1), "retained messages")
        same(90 <= int(left) <= 99, True, f"Message Expiry Interval {left} of a retained message after {DELAY_S} s")


def will_delay(address):
    topic, name = unique() + "/w", unique("dies")
    options = ("-i", name, "-c", "-t", topic + "/other", "--will-topic", topic, "--will-payload", "gone", "--will-qos", "2", "--will-retain",
               "-D", "will", "will-delay-interval", str(DELAY_S), "-D", "will", "content-type", "text/plain", "-D", "will", "user-property", "a", "b",
               "-D", "will", "message-expiry-interval", "50", "-D", "will", "correlation-data", "cd", "-D", "will", "response-topic", "back")
    with sub(address, "-q", "2", "-t", topic, "-F", "%C %R %D %P %q %p") as watcher:
        sub(address, *options).kill()
        time.sleep(DELAY_S / 2)
        back = sub(address, *options)
        time.sleep(DELAY_S)
        same(watcher.lines, [], "wills of a client that came back")
        began = time.monotonic()
        back.kill()
        eventually(lambda: watcher.lines, "the will", DELAY_S + SLACK_S)
        same(time.monotonic() - began > DELAY_S - 0.1, True, "the will waited for its delay")
        watcher.take("text/plain back cd a:b 2 gone")
    same(once(TOOL, address, VERSION, "-C", "1", "-t", topic, "-F", "%r %p %P"), b"1 gone a:b\n", "the retained will")
    pub(TOOL, address, VERSION, "-r", "-n", "-q", "1", "-t", topic)


def retain_as_published(address):
    topic = unique() + "/k"
    with sub(address, "--retain-as-published", "-t", topic, "-F", "%r %p") as kept, \
            sub(address, "-t", topic, "-F", "%r %p") as cleared:
        send(address, topic, "kept", "-r")
        send(address, topic, "event")
        kept.take("1 kept", "0 event")
        cleared.take("0 kept", "0 event")
    pub(TOOL, address, VERSION, "-r", "-n", "-q", "1", "-t", topic)


def remove_retained(address):
    root = unique()
    for number in range(COUNT):
        send(address, f"{root}/{number}", f"{number}", "-r")
    send(address, f"{root}/stays/x", "stays", "-r")
    with sub(address, "-q", "1", "-t", f"{root}/+", "--remove-retained", "-F", "%r %p") as remover:
        eventually(lambda: len(remover.lines) >= 2 * COUNT, f"{COUNT} rows and their ends, got {remover.lines}")
        same(sorted(remover.lines), sorted([f"1 {number}" for number in range(COUNT)] + ["0 "] * COUNT), "lines")
    with sub(address, "-v", "-q", "1", "-t", f"{root}/#") as reader:
        send(address, f"{root}/event", "event")
        reader.take(f"{root}/stays/x stays", f"{root}/event event")
    pub(TOOL, address, VERSION, "-r", "-n", "-q", "1", "-t", f"{root}/stays/x")


def retained_only(address):
    root = unique()
    for number in range(COUNT):
        send(address, f"{root}/{number}", f"{number}", "-r")
    with sub(address, "--retained-only", "-q", "1", "-t", f"{root}/+") as reader:
        send(address, f"{root}/event", "event")
        reader.process.wait(WAIT_S)
        same(sorted(reader.lines), [str(number) for number in range(COUNT)], "retained only")
    for number in range(COUNT):
        pub(TOOL, address, VERSION, "-r", "-n", "-q", "1", "-t", f"{root}/{number}")


def unsubscribed(address):
    topic = unique() + "/l"
    with sub(address, "-q", "1", "-t", topic, "-t", topic + "/other", "-U", topic + "/other") as reader:
        send(address, topic + "/other", "unsubscribed")
        send(address, topic, "here")
        reader.take("here")


def lines_and_repeats(address):
    topic = unique() + "/n"
    with sub(address, "-q", "2", "-t", topic, "-F", "%q %p") as reader:
        pub(TOOL, address, VERSION, "-q", "2", "-t", topic, "-m", "again", "--repeat", str(COUNT), "--repeat-delay", "0.01")
        reader.take(*["2 again"] * COUNT)
        text = "".join(f"{number}\n" for number in range(200)).encode()
        for qos in (1, 2):
            pub(TOOL, address, VERSION, "-q", str(qos), "-t", topic, "-l", stdin=text)
            reader.take(*[f"{qos} {number}" for number in range(200)])


def sys_topics(address):
    """What the broker tells of itself is retained; a wildcard at the root does not match it [MQTT-4.7.2-1]; clients do not
    write it."""
    ask = ("-C", "1", "-q", "1", "-t", "$SYS/broker/version", "-F", "%r %p")
    told = once(TOOL, address, VERSION, *ask)
    same(told.startswith(b"1 mote"), True, f"version {told}")
    pub(TOOL, address, VERSION, "-q", "0", "-r", "-t", "$SYS/broker/version", "-m", "mine")
    same(once(TOOL, address, VERSION, *ask), told, "version after a client wrote it")
    marker = unique()
    with sub(address, "-v", "-q", "1", "-t", "+/broker/version", "-t", "+/broker/#", "-t", f"+/{marker}") as reader, \
            sub(address, "-F", "%t", "-t", "$SYS/#") as all_:
        refused = subprocess.run(["mosquitto_pub", "-h", address[0], "-p", str(address[1]), "-V", VERSION, "-q", "1", "-t", f"$SYS/{marker}",
                                  "-m", "not there"], capture_output=True, check=False, timeout=WAIT_S)
        same(b"Not authorized" in refused.stderr, True, f"what mosquitto_pub says, {refused.stderr}")
        send(address, f"a/{marker}", "there")
        reader.take(f"a/{marker} there")
        eventually(lambda: len(all_.lines) > 50, f"$SYS topics, got {len(all_.lines)}")
        same([line for line in all_.lines if not line.startswith("$SYS/broker/")], [], "topics under $SYS")


def request_response(address):
    """mosquitto_rr asks, paho answers; for MQTT 3.1.1 it only knows the topic."""
    root = unique()
    with stock.Paho(address, V5, unique("answers")) as answerer:
        answerer.subscribe(f"{root}/+", 1)
        for version in ("mqttv5", "mqttv311"):
            process = subprocess.Popen(
                ["mosquitto_rr", "-h", address[0], "-p", str(address[1]), "-V", version, "-q", "1", "-t", f"{root}/{version}",
                 "-e", f"{root}-answer/{version}", "-m", "question", "-W", str(WAIT_S)], stdout=subprocess.PIPE)
            try:
                before = len(answerer.messages)
                answerer.until(lambda count=before: len(answerer.messages) > count, "the question")
                asked = answerer.messages[-1]
                same(asked.payload, b"question", "question")
                if version == "mqttv5":
                    same(asked.properties.get("response_topic"), f"{root}-answer/{version}", "Response Topic")
                answerer.publish(f"{root}-answer/{version}", b"answer", 1)
                same(process.communicate(timeout=WAIT_S)[0], b"answer\n", "what mosquitto_rr printed")
            finally:
                process.kill()
                process.wait()


CHECKS = (properties, connect_properties, session_expiry, resumed, message_expiry, will_delay, retain_as_published,
          remove_retained, retained_only, unsubscribed, lines_and_repeats, sys_topics, request_response)


def run(report, address):
    for check in CHECKS:
        report.check(f"mosquitto -V 5 {check.__name__}", check, address)


def with_broker(report, shards):
    with Broker(shards=shards) as broker:
        run(report, (broker.host, broker.port))
        report.check("SIGTERM ends it with 0", lambda: same(broker.stop(), 0, "exit code"))


if __name__ == "__main__":
    sys.exit(alone(lambda report: with_broker(report, int(sys.argv[1]) if len(sys.argv) > 1 else 4)))
