//! Networks as ONNX models (onnx.proto, opset 13), which onnxruntime, browsers and phones run.
//!
//! Only the messages and fields that are used are written below, under the names and numbers of onnx.proto.

use prost::Message;
use tch::{Device, Kind, Tensor};

use crate::network::{Layer, Network, Op, smoothing};

/// What is written: any onnxruntime since 2020 knows it.
const OPSET: i64 = 13;
const IR_VERSION: i64 = 7;
const FLOAT: i32 = 1;
const INT64: i32 = 7;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSetIdProto {
    #[prost(string, optional, tag = "1")]
    domain: Option<String>,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
    /// 1 float, 2 whole number, 7 whole numbers.
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    dim_param: Option<String>,
}

/// A generator as an ONNX file: `z` [N, latent] → `pictures` [N, 3, side, side], in the mode for use, for any N.
/// `about` are lines of text that go with it.
pub(crate) fn generator(network: &Network, latent: u64, side: u64, about: &[(&str, String)]) -> Vec<u8> {
    let mut graph = Graph { network, nodes: Vec::new(), tensors: Vec::new() };
    let last = graph.layers(network.layers(), "z".to_owned());
    graph.node("Identity", "pictures", &[last], "pictures", Vec::new());
    let graph = GraphProto {
        node: graph.nodes,
        name: "generator".to_owned(),
        initializer: graph.tensors,
        input: vec![value("z", &[latent as i64])],
        output: vec![value("pictures", &[3, side as i64, side as i64])],
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "catgen-pipe".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: OPSET }],
        metadata_props: about.iter().map(|(key, value)| StringStringEntryProto { key: (*key).to_owned(), value: value.clone() }).collect(),
    };
    model.encode_to_vec()
}

/// An input or output [N, …].
fn value(name: &str, sides: &[i64]) -> ValueInfoProto {
    let any = Dimension { dim_value: None, dim_param: Some("N".to_owned()) };
    let fixed = sides.iter().map(|side| Dimension { dim_value: Some(*side), dim_param: None });
    let shape = TensorShapeProto { dim: std::iter::once(any).chain(fixed).collect() };
    let kind = TypeProto { tensor_type: Some(TensorTypeProto { elem_type: FLOAT, shape: Some(shape) }) };
    ValueInfoProto { name: name.to_owned(), kind: Some(kind) }
}

struct Graph<'a> {
    network: &'a Network,
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
}

impl Graph<'_> {
    /// Adds layers that begin with the value `x`; answers the value they end with.
    fn layers(&mut self, layers: &[Layer], x: String) -> String {
        layers.iter().fold(x, |x, layer| self.layer(layer, x))
    }

    /// A layer's node, or nodes. Dropout does nothing in use.
    fn layer(&mut self, Layer { name, op }: &Layer, x: String) -> String {
        match op {
            Op::ToMap => self.reshape(name, x, &[0, -1, 1, 1]),
            Op::Unflatten { channels, side } => {
                let x = self.reshape(&format!("{name}.rows"), x, &[0, *side, *side, *channels]);
                self.node("Transpose", name, &[x], name, vec![ints("perm", &[0, 3, 1, 2])])
            }
            Op::Flatten => {
                let x = self.node("Transpose", &format!("{name}.rows"), &[x], &format!("{name}.rows"), vec![ints("perm", &[0, 2, 3, 1])]);
                self.node("Flatten", name, &[x], name, vec![int("axis", 1)])
            }
            Op::Logits => self.reshape(name, x, &[-1]),
            Op::Dense { weight, bias } => {
                let inputs = self.inputs(name, x, *weight, *bias);
                self.node("Gemm", name, &inputs, name, vec![int("transB", 1)])
            }
            Op::Conv { weight, bias, stride, padding: (before, after), groups } => {
                let inputs = self.inputs(name, x, *weight, *bias);
                let pads = [*before, *before, *after, *after];
                let attributes = vec![ints("strides", &[*stride; 2]), ints("pads", &pads), int("group", *groups)];
                self.node("Conv", name, &inputs, name, attributes)
            }
            Op::ConvTransposed { weight, stride, padding, crop } => {
                let inputs = self.inputs(name, x, *weight, None);
                // What is cut off at the end is padding on that side alone.
                let pads = [*padding, *padding, padding + crop, padding + crop];
                self.node("ConvTranspose", name, &inputs, name, vec![ints("strides", &[*stride; 2]), ints("pads", &pads)])
            }
            Op::Norm { gamma, mean, epsilon, .. } => {
                let parts = [
                    ("weight", self.network.parameter(*gamma)),
                    ("bias", self.network.parameter(gamma + 1)),
                    ("running_mean", self.network.statistic(*mean)),
                    ("running_var", self.network.statistic(mean + 1)),
                ]
                .map(|(part, tensor)| (format!("{name}.{part}"), tensor.shallow_clone()));
                let mut inputs = vec![x];
                inputs.extend(parts.into_iter().map(|(name, tensor)| self.tensor(name, &tensor)));
                self.node("BatchNormalization", name, &inputs, name, vec![float("epsilon", *epsilon)])
            }
            Op::Relu => self.node("Relu", name, &[x], name, Vec::new()),
            Op::LeakyRelu { slope } => self.node("LeakyRelu", name, &[x], name, vec![float("alpha", *slope)]),
            Op::Tanh => self.node("Tanh", name, &[x], name, Vec::new()),
            Op::Dropout { .. } => x,
            Op::Basis { maps } => {
                let x = self.reshape(&format!("{name}.amounts"), x, &[0, -1, 1, 1]);
                let maps = self.tensor(format!("{name}.weight"), &self.network.parameter(*maps).shallow_clone());
                self.node("Mul", name, &[x, maps], name, Vec::new())
            }
            Op::Enlarge { channels } => self.smooth(name, "ConvTranspose", x, *channels, 0.25),
            Op::Reduce { channels } => self.smooth(name, "Conv", x, *channels, 0.125),
            Op::Residual(layers) => {
                let inner = self.layers(layers, x.clone());
                self.node("Add", name, &[inner, x], name, Vec::new())
            }
        }
    }

    fn smooth(&mut self, name: &str, op: &str, x: String, channels: i64, scale: f64) -> String {
        let filter = self.tensor(format!("{name}.filter"), &smoothing(channels, scale, &Tensor::zeros([1], (Kind::Float, Device::Cpu))));
        let attributes = vec![ints("strides", &[2; 2]), ints("pads", &[1; 4]), int("group", channels)];
        self.node(op, name, &[x, filter], name, attributes)
    }

    fn reshape(&mut self, name: &str, x: String, shape: &[i64]) -> String {
        let raw_data = shape.iter().flat_map(|side| side.to_le_bytes()).collect();
        let shape_name = format!("{name}.shape");
        self.tensors.push(TensorProto { dims: vec![shape.len() as i64], data_type: INT64, name: shape_name.clone(), raw_data });
        self.node("Reshape", name, &[x, shape_name], name, Vec::new())
    }

    /// The value, the weight and perhaps the bias of a layer.
    fn inputs(&mut self, name: &str, x: String, weight: usize, bias: Option<usize>) -> Vec<String> {
        let mut inputs = vec![x, self.tensor(format!("{name}.weight"), &self.network.parameter(weight).shallow_clone())];
        if let Some(bias) = bias {
            inputs.push(self.tensor(format!("{name}.bias"), &self.network.parameter(bias).shallow_clone()));
        }
        inputs
    }

    fn tensor(&mut self, name: String, tensor: &Tensor) -> String {
        let tensor = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
        let mut raw_data = vec![0; tensor.numel() * 4];
        tensor.copy_data_u8(&mut raw_data, tensor.numel());
        self.tensors.push(TensorProto { dims: tensor.size(), data_type: FLOAT, name: name.clone(), raw_data });
        name
    }

    fn node(&mut self, op: &str, name: &str, inputs: &[String], output: &str, attribute: Vec<AttributeProto>) -> String {
        let (name, op_type, output) = (name.to_owned(), op.to_owned(), output.to_owned());
        self.nodes.push(NodeProto { input: inputs.to_vec(), output: vec![output.clone()], name, op_type, attribute });
        output
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: None, i: Some(value), ints: Vec::new(), kind: 2 }
}

fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: Some(value as f32), i: None, ints: Vec::new(), kind: 1 }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: None, i: None, ints: values.to_vec(), kind: 7 }
}
